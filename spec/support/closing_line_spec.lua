-- The harness itself: what busted reports through closing_line.lua, and how
-- tools/parts.sh adds up. A fault here would hide every other.

local process = require "process"
local run = require("shell").run

local folder

local function write(name, text)
  local path = folder .. "/" .. name
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  return path
end

local function last_line(text)
  return text:match("([^\n]*)\n?$")
end

before_each(function() folder = assert(process.mkdtemp()) end)
after_each(function() os.execute("rm -rf " .. folder) end)

describe("closing_line", function()
  local function busted(spec)
    local path = write("some_spec.lua", spec)
    return run(os.getenv("LUA") .. " \"$(command -v busted)\" --output=closing_line " .. path)
  end

  it("counts what passed, failed and was skipped", function()
    local output = busted [[
      it("passes", function() assert.is_true(true) end)
      it("passes too", function() end)
      it("fails", function() assert.is_true(false) end)
      it("raises", function() error("on purpose") end)
      it("is skipped", function() pending("for a reason") end)
      pending("is not written")]]
    assert.are.equal("2 passed, 2 failed, 2 skipped", last_line(output))
    assert.matches("some_spec.lua:3: failed: fails\n", output)
    assert.matches("some_spec.lua:4: error: raises\n[^\n]*on purpose", output)
    assert.matches("some_spec.lua:5: skipped: is skipped: [^\n]*for a reason\n", output)
  end)

  it("counts an error outside of a test", function()
    local output, status = busted [[
      describe("outside", function()
        setup(function() error("no ground") end)
        it("never runs", function() end)
      end)]]
    assert.are.equal("0 passed, 1 failed, 0 skipped", last_line(output))
    assert.matches("no ground", output)
    assert.are_not.equal(0, status)
  end)

  it("counts a file that cannot be read", function()
    assert.are.equal("0 passed, 1 failed, 0 skipped", last_line((busted "this is not Lua")))
  end)
end)

describe("tools/parts.sh", function()
  ---Runs these parts and returns the closing line, the exit status and all that
  ---was said.
  local function sum(parts)
    local path = write("run", "set -u\n. tools/parts.sh\n" .. parts .. "\nfinish\n")
    local output, status = run("bash " .. path)
    return last_line(output), status, output
  end

  local good = "echo 2 passed, 0 failed, 1 skipped"

  it("adds up", function()
    local line, status = sum("part one 10 " .. good .. "\npart two 10 " .. good
      .. "\ncheck three 10 true")
    assert.are.equal("5 passed, 0 failed, 2 skipped", line)
    assert.are.equal(0, status)
  end)

  it("fails if a part failed, and shows what the part said", function()
    local line, status, output = sum(
      "part one 10 sh -c 'echo the reason; echo 1 passed, 3 failed, 0 skipped'")
    assert.are.equal("1 passed, 3 failed, 0 skipped", line)
    assert.are.equal(1, status)
    assert.matches("\n    the reason\n", output)
  end)

  it("shows text only, whatever a part says", function()
    local _, _, output = sum(
      "part one 10 printf 'a\\000\\033[31m\\377b caf\\303\\251\\n0 passed, 1 failed, 0 skipped\\n'")
    assert.is_truthy(output:find("\n    a[31mb caf\195\169\n", 1, true), output)
  end)

  it("counts a part that died without its closing line", function()
    local line, status, output = sum("part one 10 sh -c 'echo last words; kill -9 $$'\npart two 10 "
      .. good)
    assert.are.equal("2 passed, 1 failed, 1 skipped", line)
    assert.are.equal(1, status)
    assert.matches("one: 0 passed, 1 failed[^\n]*no closing line, exit status 137", output)
    assert.matches("\n    last words\n", output)
  end)

  it("counts a part that died after its closing line", function()
    assert.are.equal("2 passed, 1 failed, 1 skipped", (sum("part one 10 sh -c '" .. good
      .. "; kill -6 $$'")))
  end)

  it("stops a part whose time is over, with what it started", function()
    local before = process.now()
    local line, _, output = sum("part one 0.2 sh -c 'sleep 61 & sleep 61'")
    assert.are.equal("0 passed, 1 failed, 0 skipped", line)
    assert.matches("stopped: it ran for more than 0.2 seconds", output)
    assert.is_true(process.now() - before < 30)
  end)

  it("counts a part that tested nothing", function()
    assert.are.equal("0 passed, 1 failed, 0 skipped",
      (sum("part one 10 echo 0 passed, 0 failed, 0 skipped")))
  end)

  it("counts a check by its exit status", function()
    assert.are.equal("1 passed, 1 failed, 0 skipped",
      (sum("check one 10 true\ncheck two 10 false")))
  end)

  it("fails if nothing ran", function()
    local line, status = sum("")
    assert.are.equal("0 passed, 0 failed, 0 skipped", line)
    assert.are.equal(1, status)
  end)

  it("lets a part meet signals as at a prompt", function()
    assert.are.equal("0 passed, 1 failed, 0 skipped",
      (sum("check one 10 sh -c 'kill -INT $$; exit 0'")))
  end)

  it("ends with all it started when it is interrupted", function()
    local path = write("run", "set -u\n. tools/parts.sh\ncheck one 60 sh -c 'echo $$ >" .. folder
      .. "/pid; exec sleep 62'\n")
    local pid = assert(process.spawn({ "bash", path, stdout = folder .. "/out",
      stderr = folder .. "/err" }))
    local deadline = process.now() + 30
    local part
    repeat
      assert.is_true(process.now() < deadline, "the part did not start")
      process.sleep(0.01)
      local file = io.open(folder .. "/pid")
      part = file and file:read("*n")
      if file then file:close() end
    until part
    process.kill(pid, "INT")
    assert.are.same({ "exit", 130 }, { process.wait(pid, 30) })
    assert.is_nil(process.kill(part, 0))
  end)
end)
