/**
 * Every signature and every key derivation names its purpose with one of these, so that nothing made for one purpose
 * can stand for another. docs/PROTOCOL.md has one line for each.
 */
export const labels = {
  // channel (src/channel)
  channelSalt: "securechat/2 channel",
  applicationSalt: "securechat/2 application",
  serverHandshakeTraffic: "securechat/2 s hs",
  clientHandshakeTraffic: "securechat/2 c hs",
  serverFinished: "securechat/2 s fin",
  clientFinished: "securechat/2 c fin",
  serverApplicationTraffic: "securechat/2 s ap",
  clientApplicationTraffic: "securechat/2 c ap",
  exporter: "securechat/2 exporter",
  trafficKey: "securechat/2 key",
  trafficIv: "securechat/2 iv",
  trafficUpdate: "securechat/2 traffic upd",
  serverSignature: "securechat/2 server authentication",
  clientSignature: "securechat/2 client authentication",
  // log and group (src/log, src/group): first line of the signed or MACed text
  entry: "securechat/2 entry",
  commitment: "securechat/2 commitment",
  checkpoint: "securechat/2 checkpoint",
  deviceKey: "securechat/2 device key",
  renewal: "securechat/2 renewal",
  senderExporter: "securechat/2 sender",
  ratchetChain: "chain",
  ratchetMessage: "message",
  // short code of a log, read aloud (src/evidence): first line of the hashed text
  comparison: "securechat/2 compare",
  // vault (src/client)
  vaultWrap: "securechat/2 vault wrap",
  vaultValue: "securechat/2 vault value",
} as const;

export type Label = (typeof labels)[keyof typeof labels];
