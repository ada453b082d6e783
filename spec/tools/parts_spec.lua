-- tools/parts.sh: what a test run says of its parts, above all of those that come to a
-- bad end. Knows no test.

local wait_until = require "wait_until"

local PRELUDE = [[set -u; . tools/parts.sh; PARTS_JOBS=2
said() { echo "echo '$1'"; }
]]

-- Runs the parts; returns the last line, and all of it. A run that hangs ends, too.
local function run(parts)
  local name = os.tmpname()
  local file = assert(io.open(name, "w"))
  assert(file:write(PRELUDE, parts, "\nfinish\n"))
  file:close()
  local pipe = assert(io.popen("timeout 60 bash '" .. name .. "' 2>&1"))
  local text = pipe:read("*a")
  pipe:close()
  os.remove(name)
  return text:match("([^\n]*)\n$"), text
end

local PASSES = [[part passes 30 sh -c "$(said '2 passed, 0 failed, 0 skipped')"]]

describe("a test run", function()
  it("adds up what its parts say", function()
    assert.equal("6 passed, 1 failed, 1 skipped", (run(PASSES .. "\n" .. PASSES .. [[

      part fails 30 sh -c "$(said '1 passed, 1 failed, 1 skipped'); exit 1"
      check succeeds 30 true]])))
  end)

  it("counts each part that was killed, also beside others that end", function()
    local last, all = run(([[
      %s
      part crashes 30 sh -c "$(said '1 passed, 0 failed, 0 skipped'); kill -KILL \$\$"
      %s
      part crashes 30 sh -c "kill -KILL \$\$"
      %s]]):format(PASSES, PASSES, PASSES))
    assert.equal("7 passed, 2 failed, 0 skipped", last, all)
    local _, told = all:match("^(.-)\nwhat failed:"):gsub("crashes: [^\n]*exit status 137\n", "%0")
    assert.equal(2, told, all)
  end)

  it("says once more at the end what failed, of parts of parts that alone", function()
    local inner = os.tmpname()
    local file = assert(io.open(inner, "w"))
    assert(file:write(PRELUDE, PASSES, [[

      part fails 30 sh -c "$(said 'x is not y'); $(said '1 passed, 1 failed, 0 skipped'); exit 1"
      part dies 30 false
      ]], PASSES, "\nfinish\n"))
    file:close()
    local _, all = run(PASSES .. "\npart both 30 bash " .. inner .. "\n" .. PASSES)
    os.remove(inner)
    assert.equal([[
what failed:
both
    fails
        x is not y
        1 passed, 1 failed, 0 skipped
    dies: no closing line, exit status 1
    5 passed, 2 failed, 0 skipped
9 passed, 2 failed, 0 skipped
]], all:match("\n(what failed:.*)"), all)
  end)

  it("says at the end what a part that died was running, and all after such words", function()
    local _, all = run([[
      part dies 30 sh -c "$(said 'ok one'); $(said 'running: two'); kill -KILL \$\$"
      check says 30 sh -c "$(said 'what failed:'); $(said 'x is not y'); exit 3"]])
    local told = all:match("\nwhat failed:(\n.*)") or ""
    assert.matches("\ndies: [^\n]*137\n    ok one\n    running: two\n", told)
    assert.matches("\nsays: exit status 3\n    x is not y\n", told, 1, true)
  end)

  it("stops a part that does not end, and what it started", function()
    local last, all = run([[part hangs 1 sh -c "$(said '1 passed, 0 failed, 0 skipped'); sleep 50"]])
    assert.equal("1 passed, 1 failed, 0 skipped", last)
    assert.matches("ran for more than 1 seconds", all)
  end)

  -- Whether there is such a process, and it has not ended.
  local function lives(pid)
    local file = io.open("/proc/" .. pid .. "/stat")
    local state = file and (file:read("*a") or ""):match("^.*%) (%a)")
    if file then file:close() end
    return state ~= nil and state ~= "Z"
  end

  it("stops what a part has started in a process group of its own, too", function()
    local name = os.tmpname()
    local last = run(([[part hangs 2 sh -c 'timeout 40 sh -c "echo \$\$ >%s; exec sleep 50"']])
      :format(name))
    local file = assert(io.open(name))
    local pid = assert(file:read("*n"), "nothing was started")
    file:close()
    os.remove(name)
    assert.equal("0 passed, 1 failed, 0 skipped", last)
    wait_until(function() return not lives(pid) end, "the end of what it started", 5)
  end)

  it("says what has failed also when it is interrupted", function()
    local last, all = run([[
      part fails 30 sh -c "$(said 'x is not y'); $(said '1 passed, 1 failed, 0 skipped'); exit 1"
      check sleeps 30 sleep 20
      kill -TERM $$]])
    assert.equal("interrupted", last)
    assert.matches("\nwhat failed:\nfails\n    x is not y\n    1 passed, 1 failed", all)
  end)

  it("lets parts meet SIGINT as a command at a prompt does", function()
    assert.equal("0 passed, 1 failed, 0 skipped", (run("check heeds 30 sh -c 'kill -INT $$'")))
  end)

  it("takes a part that tested nothing, or said nothing, for failed", function()
    assert.equal("0 passed, 3 failed, 0 skipped", (run([[
      part idle 30 sh -c "$(said '0 passed, 0 failed, 0 skipped')"
      part silent 30 true
      check absent 30 /nonexistent]])))
    assert.equal("0 passed, 0 failed, 0 skipped", (run("")))
  end)
end)
