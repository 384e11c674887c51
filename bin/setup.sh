#!/bin/sh
# Finds the pinned Bun (or fetches it with npm), installs the locked packages, then runs a task.
# Needs npm or Bun and nothing else:
# `sh bin/setup.sh [build|demo|check|test-security|test-crypto|test-interactive|bench|format] [arguments]`.
set -eu
cd "$(dirname "$0")/.."

pinned=$(sed -n 's/^ *"bun": "\([^"]*\)",*$/\1/p' package.json)

is_pinned() {
  [ "$("$1" --version 2>/dev/null || true)" = "$pinned" ]
}

install() {
  # Quiet unless it fails; the lock file decides, byte for byte.
  log=$("$@" install --frozen-lockfile 2>&1) || {
    printf '%s\n' "$log" >&2
    echo "setup: installing the packages failed (see above)" >&2
    exit 1
  }
}

if is_pinned node_modules/.bin/bun; then
  install node_modules/.bin/bun
elif command -v bun >/dev/null 2>&1; then
  install bun
elif command -v npm >/dev/null 2>&1; then
  install npm exec --yes "--package=bun@$pinned" -- bun
else
  echo "setup: neither Bun nor npm was found; install one of them" >&2
  exit 1
fi

if is_pinned node_modules/.bin/bun; then
  bun=$PWD/node_modules/.bin/bun
elif command -v bun >/dev/null 2>&1 && is_pinned bun; then
  bun=$(command -v bun)
else
  echo "setup: Bun $pinned could not be installed" >&2
  exit 1
fi

task=${1:-none}
[ $# -eq 0 ] || shift
case "$task" in
  none) ;;
  build) exec "$bun" bin/build.ts "$@" ;;
  demo)
    "$bun" bin/build.ts --if-changed
    exec dist/securechat demo "$@"
    ;;
  check) exec "$bun" bin/check.ts "$@" ;;
  test-security)
    exec "$bun" test test/security test/server/damagedStore.test.ts test/store/damagedRows.test.ts "$@"
    ;;
  test-crypto) exec "$bun" test test/crypto test/vectors test/base test/channel/keySchedule.test.ts test/pki "$@" ;;
  test-interactive)
    exec "$bun" test test/scenario/walkThrough.test.ts test/scenario/terminal.test.ts test/cli/terminal "$@"
    ;;
  bench) exec "$bun" bin/bench.ts "$@" ;;
  format) exec "$bun" node_modules/.bin/biome check --write . ;;
  *)
    echo "setup: no task \"$task\"" >&2
    exit 2
    ;;
esac
