# shellcheck shell=bash
#
# Runs the parts of a test run one after the other and adds up what they say.
# To be sourced. A part is a command; it has a name and a limit in seconds.
#
#   part NAME SECONDS COMMAND...    a command that closes with the line
#                                   "N passed, N failed, N skipped"
#   check NAME SECONDS COMMAND...   a command whose exit status is the result:
#                                   one passed or one failed
#   finish                          prints the sum as such a line; false if
#                                   anything failed or nothing ran
#
# A part's output is kept and shown if it failed or skipped something, or
# always where PARTS_SHOW=always. Lines that begin with "running: " or "ok " are
# shown only where a part died, or always.

parts_passed=0
parts_failed=0
parts_skipped=0
parts_running=
parts_log=$(mktemp)

# The running part is a process group of its own, so that a part that is
# stopped takes along what it started, and so that a part meets the signals as
# a command typed at a prompt does (in the background of a script, SIGINT
# would be ignored).
parts_stop() {
  if [ -n "$parts_running" ]; then
    kill "-$1" -- "-$parts_running" 2>/dev/null
  fi
}

parts_interrupted() {
  trap - EXIT
  parts_stop TERM
  wait "$parts_running" # timeout sends KILL where TERM does not help
  parts_stop KILL
  rm -f "$parts_log"
  echo "interrupted" >&2
  exit 130
}

trap parts_interrupted INT TERM HUP
trap 'rm -f "$parts_log"' EXIT

# Sets parts_status.
parts_run() {
  local seconds=$1
  shift
  set -m
  timeout --kill-after=10 "$seconds" "$@" >"$parts_log" 2>&1 </dev/null &
  parts_running=$!
  set +m
  wait "$parts_running" 2>/dev/null # bash would say "Killed", out of place
  parts_status=$?
  parts_stop KILL # what the part left behind
  parts_running=
  if [ "$parts_status" -eq 124 ]; then
    echo "stopped: it ran for more than $seconds seconds" >>"$parts_log"
  fi
}

# The output as text, whatever bytes a test's message holds: one that is not text
# would make a binary file of a CI's log, in which no tool finds the closing line.
parts_show() { # SED_SCRIPT
  iconv -c -f UTF-8 -t UTF-8 "$parts_log" | tr -d '\000-\010\013-\037\177' |
    sed "$1; s/^/    /"
}

# Adds up a result; NOTE, which says how the part ended, is said with it.
parts_add() {
  local passed=$1 failed=$2 skipped=$3 note=${4-}
  parts_passed=$((parts_passed + passed))
  parts_failed=$((parts_failed + failed))
  parts_skipped=$((parts_skipped + skipped))
  printf '%s passed, %s failed, %s skipped (%s s)%s\n' \
    "$passed" "$failed" "$skipped" "$((SECONDS - parts_started))" "${note:+: $note}"
  if [ "${PARTS_SHOW-}" = always ] || [ -n "$note" ]; then
    parts_show ''
  elif [ "$failed" -gt 0 ] || [ "$skipped" -gt 0 ]; then
    parts_show '/^running: /d; /^ok /d'
  fi
}

part() {
  local name=$1 seconds=$2 line passed failed skipped
  shift 2
  printf '%s: ' "$name"
  parts_started=$SECONDS
  parts_run "$seconds" "$@"
  line=$(grep -aE '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$parts_log" | tail -n 1)
  if [ -z "$line" ]; then
    parts_add 0 1 0 "no closing line, exit status $parts_status"
    return
  fi
  read -r passed _ failed _ skipped _ <<<"$line"
  if [ "$parts_status" -ne 0 ] && [ "$failed" -eq 0 ]; then
    parts_add "$passed" 1 "$skipped" "exit status $parts_status"
  elif [ $((passed + failed + skipped)) -eq 0 ]; then
    parts_add 0 1 0 "it tested nothing"
  else
    parts_add "$passed" "$failed" "$skipped"
  fi
}

check() {
  local name=$1 seconds=$2
  shift 2
  printf '%s: ' "$name"
  parts_started=$SECONDS
  parts_run "$seconds" "$@"
  if [ "$parts_status" -eq 0 ]; then
    parts_add 1 0 0
  else
    parts_add 0 1 0 "exit status $parts_status"
  fi
}

finish() {
  echo "$parts_passed passed, $parts_failed failed, $parts_skipped skipped"
  [ "$parts_failed" -eq 0 ] && [ "$parts_passed" -gt 0 ]
}
