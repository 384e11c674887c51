import { equalBytes } from "../base/bytes.ts";
import { visible } from "../base/visible.ts";
import { buildStatement, maxStatementBytes } from "../evidence/receiptStatement.ts";
import type { LogState } from "../log/logState.ts";
import { servesAs } from "../log/memberIdentity.ts";
import type { Certificate } from "../pki/certificate.ts";
import { mergeSignedData } from "../pki/cms/mergeSignedData.ts";
import { signDetached } from "../pki/cms/signDetached.ts";
import { decodeSignedData, type SignedData, type SignerInfo } from "../pki/cms/signedData.ts";
import { uncoveredParts } from "../pki/cms/uncoveredParts.ts";
import { verifySigner } from "../pki/cms/verifySigner.ts";
import { PkiError } from "../pki/pkiError.ts";
import type { VerifiedCertificate } from "../pki/verifyPath.ts";
import { ClientError } from "./clientError.ts";
import type { Conversation } from "./conversation.ts";
import type { ConversationContext } from "./conversationContext.ts";

/** How long a client waits for the server's signatures before it says that there are none. */
export const counterSignatureTimeoutMs = 10_000;

/** What a receipt holds, as it was verified here. */
export interface VerifiedReceipt {
  readonly size: number;
  readonly folder: string;
  /** Names of those whose signature is in it, the server's among them. */
  readonly signers: readonly string[];
  /** Whether the server has signed it and dated the own signature. */
  readonly countersigned: boolean;
}

interface Judged {
  readonly signers: readonly string[];
  readonly isComplete: boolean;
}

/** Makes, verifies and keeps the receipts of conversations. */
export class Receipts {
  readonly #context: ConversationContext;

  constructor(context: ConversationContext) {
    this.#context = context;
  }

  /**
   * Signs for everything that stands, after acknowledging it, and has the server sign too. Where nothing can be posted, the
   * signature is for what stands without the acknowledgement.
   *
   * @throws {ClientError} `NOT_COUNTERSIGNED` the own signature is in the folder, the server's is not there in time;
   *   `BAD_RECEIPT` what the server sent back is no good
   */
  async make(conversation: Conversation): Promise<VerifiedReceipt> {
    const { standing } = conversation;
    // What keeps it from being posted was told when it came up.
    await conversation.acknowledge().catch(() => undefined);
    // More may have come meanwhile: the statement is about what is in the transcript.
    while (standing.record.size !== standing.log.size) await conversation.idle();
    return this.#sign(conversation);
  }

  /** Fetches what an earlier session had to do without. */
  async complete(conversation: Conversation): Promise<void> {
    const { record, log } = conversation.standing;
    if (record.receipt_size === 0 || record.receipt_complete || record.receipt_size !== log.size) return;
    await this.#sign(conversation);
  }

  /** Somebody else has signed too. What is not about the newest receipt here is left alone. */
  take(conversation: Conversation, receipt: { size: number; signedData: Uint8Array }): void {
    const { standing, state } = conversation;
    if (state === undefined || standing.record.receipt_size !== receipt.size) return;
    const kept = standing.folder.readReceipt();
    if (kept === undefined) return;
    try {
      this.#merge(conversation, { ...kept, size: receipt.size, answer: receipt.signedData });
    } catch (error) {
      this.#context.onEvent({
        event: "warning",
        code: "RECEIPT_REFUSED",
        message: `another signature for the receipt was refused: ${error instanceof Error ? error.message : ""}`,
        conversation: conversation.id,
      });
    }
  }

  async #sign(conversation: Conversation): Promise<VerifiedReceipt> {
    const { self, now } = this.#context;
    const { standing, state, id } = conversation;
    if (state === undefined) throw new ClientError("NO_SUCH_CONVERSATION", "the conversation has not begun");
    const { size } = state;
    const statement = buildStatement({ state, sha256: standing.folder.sha256() });
    if (statement.length > maxStatementBytes) throw new ClientError("BAD_RECEIPT", "the receipt is too long");
    const { certificate, key, verified } = self;
    const signedData = signDetached({
      content: statement,
      certificate,
      key,
      includeCertificates: verified.chain.slice(1, -1),
      signingTimeMs: now(),
    });
    const { record } = standing;
    if (record.receipt_size !== size || !record.receipt_complete)
      standing.keepReceipt({ statement, signedData, size, isComplete: false });
    const answer = await this.#request({ conversation: id, statement, signedData });
    if (answer.conversation !== id || answer.size !== size)
      throw new ClientError("BAD_RECEIPT", "the server answered with another receipt");
    try {
      return this.#merge(conversation, { statement, signedData, size, answer: answer.signed_data });
    } catch (cause) {
      if (!(cause instanceof PkiError)) throw cause;
      const why = visible(cause.message);
      throw new ClientError("BAD_RECEIPT", `what the server sent back as a receipt is refused: ${why}`, {
        cause,
      });
    }
  }

  async #request(receipt: {
    conversation: Conversation["id"];
    statement: Uint8Array;
    signedData: Uint8Array;
  }) {
    const { conversation, statement, signedData } = receipt;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error("no answer")), counterSignatureTimeoutMs);
    });
    try {
      const request = { type: "sign_receipt", conversation, statement, signed_data: signedData } as const;
      return await Promise.race([this.#context.connection().request(request), late]);
    } catch (cause) {
      throw new ClientError(
        "NOT_COUNTERSIGNED",
        `the server has not countersigned the receipt: ${cause instanceof Error ? cause.message : ""}; the next connection asks again`,
        { cause },
      );
    } finally {
      clearTimeout(timer);
    }
  }

  /** Verifies what came, joins it to what is here, verifies the whole again and keeps it. */
  #merge(
    conversation: Conversation,
    receipt: { statement: Uint8Array; signedData: Uint8Array; size: number; answer: Uint8Array },
  ): VerifiedReceipt {
    const { standing, state, id } = conversation;
    const { statement, size, answer } = receipt;
    if (state === undefined) throw new ClientError("NO_SUCH_CONVERSATION", "the conversation has not begun");
    const judged = this.#judge(answer, statement, state);
    const kept = standing.record.receipt_complete && standing.record.receipt_size === size;
    const merged = kept ? this.#join(conversation, statement, state, answer) : undefined;
    const { signers, isComplete } = merged ?? judged;
    if (!isComplete)
      throw new ClientError("BAD_RECEIPT", "the server's signatures are missing in what it sent back");
    standing.keepReceipt({ statement, signedData: merged?.signedData ?? answer, size, isComplete });
    const folder = standing.folder.path;
    const root = standing.log.rootAt(size) ?? state.root;
    const to = standing.name;
    this.#context.onEvent({
      event: "receipt",
      conversation: id,
      to,
      folder,
      size,
      root,
      signers,
      countersigned: true,
    });
    return { size, folder, signers, countersigned: true };
  }

  /** Adds what came to the file that is here, unless that one was altered: then it gives way. */
  #join(conversation: Conversation, statement: Uint8Array, state: LogState, answer: Uint8Array) {
    const kept = conversation.standing.folder.readReceipt();
    if (kept === undefined || !equalBytes(kept.statement, statement)) return undefined;
    try {
      this.#judge(kept.signedData, statement, state);
    } catch {
      return undefined;
    }
    const signedData = mergeSignedData(kept.signedData, answer);
    return { signedData, ...this.#judge(signedData, statement, state) };
  }

  /** @throws {PkiError} a signature or path is no good; {ClientError} `BAD_RECEIPT` somebody has signed who has no business to */
  #judge(signedData: Uint8Array, statement: Uint8Array, state: LogState): Judged {
    const own = this.#context.self.certificate.fingerprint;
    const file = decodeSignedData(signedData);
    const paths: VerifiedCertificate[] = [];
    const signers: string[] = [];
    let isServerIn = false;
    let isDated = false;
    for (const signer of file.signers) {
      verifySigner(signer, statement);
      const dates = signer.counterSignatures.map(({ signingTimeMs }) => signingTimeMs);
      const isServer = servesAs(signer.certificate, state.server.name);
      // As a verdict will have it: who says when a signature was made is the server, also about its own.
      const signedMs = isServer ? signer.signingTimeMs : Math.min(...dates);
      const path = this.#verify(signer, file, { state, signedMs });
      paths.push(path);
      const member = state.senders.get(signer.fingerprint);
      if (member === undefined && !isServer)
        throw new ClientError("BAD_RECEIPT", "the receipt is signed by somebody who is no member");
      for (const counter of signer.counterSignatures) {
        paths.push(this.#verify(counter, file, { state, signedMs: counter.signingTimeMs }));
        if (!servesAs(counter.certificate, state.server.name))
          throw new ClientError(
            "BAD_RECEIPT",
            "the receipt is countersigned by somebody who is not its server",
          );
      }
      isServerIn ||= isServer;
      // The server's operator signs with the server's key: once, and the server's time is its own word.
      isDated ||= signer.fingerprint === own && (isServer || signer.counterSignatures.length > 0);
      signers.push(member?.username ?? state.server.name);
    }
    if (uncoveredParts(file, paths).length > 0)
      throw new ClientError("BAD_RECEIPT", "the receipt holds parts that no signature covers");
    return { signers, isComplete: isServerIn && isDated };
  }

  /**
   * Paths are judged when the signature was made, but never before the log ended: nobody can have signed for it earlier.
   *
   * @param signedMs infinite when nobody has dated it: then the end of the log counts
   */
  #verify(
    signer: SignerInfo,
    file: SignedData,
    { state, signedMs }: { state: LogState; signedMs: number },
  ): VerifiedCertificate {
    const { directory } = this.#context;
    const chain = directory.certificates(signer.fingerprint);
    const known = chain.length > 0 ? chain : [signer.certificate, ...file.certificates.filter(isAuthority)];
    const atMs = Math.max(Number.isFinite(signedMs) ? signedMs : 0, state.lastAt);
    return directory.verifyAt(
      known.map(({ der }) => der),
      atMs,
    );
  }
}

function isAuthority({ basicConstraints }: Certificate): boolean {
  return basicConstraints?.ca === true;
}
