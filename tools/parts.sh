# shellcheck shell=bash
#
# Runs the parts of a test run, PARTS_JOBS of them side by side (1), and adds up what
# they say. To be sourced. A part is a command; it has a name and a limit in seconds.
#
#   part NAME SECONDS COMMAND...    a command that closes with the line
#                                   "N passed, N failed, N skipped"
#   check NAME SECONDS COMMAND...   a command whose exit status is the result:
#                                   one passed or one failed
#   finish                          waits for the last ones, and prints the sum as
#                                   such a line; false if anything failed or
#                                   nothing ran
#
# A part's output is kept and shown if it failed or skipped something, or
# always where PARTS_SHOW=always. Lines that begin with "running: " or "ok " are
# shown only where a part died, or always. What failed is said once more at the end:
# where only the end of a long log is kept, or read, that is what is looked for.

parts_passed=0
parts_failed=0
parts_skipped=0
parts_logs=$(mktemp -d)
# Of each running part, by its process id:
declare -A parts_name=() parts_kind=() parts_limit=() parts_started=()

# Each running part is a session of its own, so that a part that is stopped takes
# along what it started. Its process group would not do: a 'timeout' within the part
# makes another.
parts_signal() { # SIGNAL PART
  local stat line fields
  for stat in /proc/[0-9]*/stat; do
    line=
    { IFS= read -r -d '' line <"$stat"; } 2>/dev/null
    read -ra fields <<<"${line##*) }" # state, parent, group, session
    [ "${fields[3]-}" != "$2" ] || kill "-$1" "${line%% *}" 2>/dev/null
  done
}

parts_stop() { # SIGNAL
  local part
  for part in "${!parts_name[@]}"; do
    kill "-$1" "$part" 2>/dev/null # also where its session is still to be made
    parts_signal "$1" "$part"
  done
}

parts_interrupted() {
  trap - EXIT
  parts_stop TERM
  wait "${!parts_name[@]}" # timeout sends KILL where TERM does not help
  parts_stop KILL
  parts_say_failed
  rm -rf "$parts_logs"
  echo "interrupted" >&2
  exit 130
}

trap parts_interrupted INT TERM HUP
trap 'rm -rf "$parts_logs"' EXIT

# The output as text, whatever bytes a test's message holds: one that is not text
# would make a binary file of a CI's log, in which no tool finds the closing line.
parts_show() { # LOG SED_SCRIPT
  iconv -c -f UTF-8 -t UTF-8 "$1" | tr -d '\000-\010\013-\037\177' |
    sed "$2; s/^/    /"
}

# Adds up a result and says it; NOTE, which says how the part ended, is said with it.
parts_add() { # PART PASSED FAILED SKIPPED [NOTE]
  local part=$1 passed=$2 failed=$3 skipped=$4 note=${5-}
  parts_passed=$((parts_passed + passed))
  parts_failed=$((parts_failed + failed))
  parts_skipped=$((parts_skipped + skipped))
  printf '%s: %s passed, %s failed, %s skipped (%s s)%s\n' "${parts_name[$part]}" \
    "$passed" "$failed" "$skipped" "$((SECONDS - parts_started[$part]))" "${note:+: $note}"
  if [ "${PARTS_SHOW-}" = always ] || [ -n "$note" ]; then
    parts_show "$parts_logs/$part" ''
  elif [ "$failed" -gt 0 ] || [ "$skipped" -gt 0 ]; then
    parts_show "$parts_logs/$part" '/^running: /d; /^ok /d'
  fi
  [ "$failed" -eq 0 ] || parts_note "$part" "$note" >>"$parts_logs/failed"
}

# What is said of a failed part at the end: the end of its output (of one that died also
# what it was running) or, if that was parts itself, what has failed of those.
parts_note() { # PART NOTE
  local log=$parts_logs/$1 left_out='/^running: /d; /^ok /d'
  [ -z "$2" ] || left_out=
  echo "${parts_name[$1]}${2:+: $2}"
  if grep -aq '^what failed:$' "$log"; then
    parts_show "$log" '0,/^what failed:$/d'
  else
    parts_show "$log" "$left_out" | tail -n 40
  fi
}

# What a command that counts has said.
parts_count() { # PART STATUS
  local line passed failed skipped
  line=$(grep -aE '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$parts_logs/$1" | tail -n 1)
  if [ -z "$line" ]; then
    parts_add "$1" 0 1 0 "no closing line, exit status $2"
    return
  fi
  read -r passed _ failed _ skipped _ <<<"$line"
  if [ "$2" -ne 0 ] && [ "$failed" -eq 0 ]; then
    parts_add "$1" "$passed" 1 "$skipped" "exit status $2"
  elif [ $((passed + failed + skipped)) -eq 0 ]; then
    parts_add "$1" 0 1 0 "it tested nothing"
  else
    parts_add "$1" "$passed" "$failed" "$skipped"
  fi
}

# Sets 'part' to one that has ended, and 'status'; part stays empty if there was none to
# wait for. A part that was killed, by SIGSEGV for one, is forgotten by 'wait -n' if it ended
# beside another: it is no process any more, and 'wait' by its number still knows how it ended.
parts_wait() {
  local one
  for one in "${!parts_name[@]}"; do
    kill -0 "$one" 2>/dev/null && continue
    part=$one
    wait "$part" 2>/dev/null || status=$?
    return
  done
  # bash would say "Killed", out of place
  wait -n -p part "${!parts_name[@]}" 2>/dev/null || status=$?
}

# Waits until a part ends.
parts_await() {
  local part='' status=0
  until [ -n "${part-}" ]; do
    status=0
    parts_wait
  done
  parts_signal KILL "$part" # what it left behind,
  parts_signal KILL "$part" # and what that has started meanwhile
  if [ "$status" -eq 124 ]; then
    echo "stopped: it ran for more than ${parts_limit[$part]} seconds" >>"$parts_logs/$part"
  fi
  if [ "${parts_kind[$part]}" = part ]; then
    parts_count "$part" "$status"
  elif [ "$status" -eq 0 ]; then
    parts_add "$part" 1 0 0
  else
    parts_add "$part" 0 1 0 "exit status $status"
  fi
  rm -f "$parts_logs/$part"
  unset "parts_name[$part]" "parts_kind[$part]" "parts_limit[$part]" "parts_started[$part]"
}

parts_start() { # KIND NAME SECONDS COMMAND...
  local kind=$1 name=$2 seconds=$3
  shift 3
  # In the background of a script SIGINT and SIGQUIT are ignored: a part meets them as a
  # command typed at a prompt does.
  (
    exec >"$parts_logs/$BASHPID" 2>&1 </dev/null
    exec setsid env --default-signal=INT,QUIT timeout --kill-after=10 "$seconds" "$@"
  ) &
  parts_kind[$!]=$kind
  parts_name[$!]=$name
  parts_limit[$!]=$seconds
  parts_started[$!]=$SECONDS
  if [ "${#parts_name[@]}" -ge "${PARTS_JOBS:-1}" ]; then parts_await; fi
}

part() {
  parts_start part "$@"
}

check() {
  parts_start check "$@"
}

parts_say_failed() {
  if [ -s "$parts_logs/failed" ]; then
    echo "what failed:"
    cat "$parts_logs/failed"
  fi
}

finish() {
  while [ "${#parts_name[@]}" -gt 0 ]; do parts_await; done
  parts_say_failed
  echo "$parts_passed passed, $parts_failed failed, $parts_skipped skipped"
  [ "$parts_failed" -eq 0 ] && [ "$parts_passed" -gt 0 ]
}
