-- spec/support/process.c, on which other specs rely to see what they test fail.

local process = require "process"

describe("process", function()
  local folder

  before_each(function() folder = assert(process.mkdtemp()) end)
  after_each(function() os.execute("rm -rf " .. folder) end)

  local function read(name)
    local file = assert(io.open(folder .. "/" .. name, "rb"))
    local text = file:read("*a")
    file:close()
    return text
  end

  local function spawn(script, more)
    local command = { "sh", "-c", script, stdout = folder .. "/out", stderr = folder .. "/err" }
    for name, value in pairs(more or {}) do command[name] = value end
    return process.spawn(command)
  end

  -- A zombie that init has not collected yet is dead.
  local function lives(pid)
    local file = io.open("/proc/" .. pid .. "/stat", "r")
    local text = file and file:read("*a") or ""
    if file then file:close() end
    local state = text:match("^.*%)%s+(%a)")
    return state ~= nil and state ~= "Z" and state ~= "X"
  end

  -- Looks until 'look' gives something true, and returns that.
  local function eventually(what, look)
    local deadline = process.now() + 30
    while true do
      local found = look()
      if found then return found end
      assert.is_true(process.now() < deadline, what)
      process.sleep(0.005)
    end
  end

  describe("fork", function()
    it("runs a function in a child that then ends well", function()
      local parent = process.getpid()
      local pid = process.fork(function()
        local file = assert(io.open(folder .. "/child", "w"))
        file:write(process.getpid(), " ", parent)
        file:close()
      end)
      assert.are.same({ "exit", 0 }, { process.wait(pid) })
      assert.are.equal(pid .. " " .. parent, read("child"))
    end)

    it("reports an error as exit code 1", function()
      assert.are.same({ "exit", 1 }, { process.wait(process.fork(function()
        error("this message is expected")
      end)) })
    end)

    it("takes a function", function()
      assert.has_error(function() process.fork("function") end)
    end)
  end)

  describe("wait", function()
    it("says which signal killed a child", function()
      local pid = process.fork(function() process.sleep(60) end)
      assert.is_true(process.kill(pid, "KILL"))
      assert.are.same({ "signal", 9 }, { process.wait(pid) })
    end)

    it("gives up after its time, and the child lives on", function()
      local pid = process.fork(function() process.sleep(60) end)
      local before = process.now()
      assert.are.equal("timeout", process.wait(pid, 0.05))
      assert.is_true(process.now() - before >= 0.05)
      assert.is_true(process.kill(pid, 0))
      process.kill(pid, 9)
      assert.are.same({ "signal", 9 }, { process.wait(pid, 10) })
    end)

    it("returns as soon as the child has ended", function()
      local before = process.now()
      assert.are.same({ "exit", 0 }, { process.wait(process.fork(function() end), 60) })
      assert.is_true(process.now() - before < 30)
    end)

    it("refuses what is not a child", function()
      local result, message = process.wait(process.getpid())
      assert.is_nil(result)
      assert.matches("^wait: ", message)
    end)
  end)

  describe("kill", function()
    it("refuses to reach more than one process", function()
      assert.has_error(function() process.kill(-1, "KILL") end)
      assert.has_error(function() process.kill(0, "KILL") end)
    end)

    it("says that there is no such process", function()
      local pid = process.fork(function() end)
      process.wait(pid)
      local result, message = process.kill(pid, 0)
      assert.is_nil(result)
      assert.matches("^kill: ", message)
    end)
  end)

  describe("spawn", function()
    it("runs a program with its output in files", function()
      assert.are.same({ "exit", 3 }, { process.wait(spawn("echo out; echo err >&2; exit 3")) })
      assert.are.equal("out\n", read("out"))
      assert.are.equal("err\n", read("err"))
    end)

    it("changes the environment: a string sets, false unsets", function()
      local pid = spawn("echo \"$NEW\"; echo \"${HOME-unset}\"; echo \"$PATH\"",
        { env = { NEW = "a value", HOME = false } })
      assert.are.same({ "exit", 0 }, { process.wait(pid) })
      assert.are.equal("a value\nunset\n" .. os.getenv("PATH") .. "\n", read("out"))
    end)

    it("starts in another folder", function()
      assert.are.same({ "exit", 0 }, { process.wait(spawn("pwd -P", { cwd = folder })) })
      assert.matches(folder:match("[^/]*$") .. "\n$", read("out"))
    end)

    it("leaves none of our files open in the program", function()
      local ours = assert(io.open(folder .. "/ours", "w"))
      process.wait(spawn("ls -l /proc/self/fd"))
      ours:close()
      assert.is_nil(read("out"):find("/ours", 1, true))
    end)

    it("says that there is no such program", function()
      local pid, message = process.spawn({ folder .. "/missing" })
      assert.is_nil(pid)
      assert.are.equal(folder .. "/missing: No such file or directory", message)
    end)

    it("dies with its parent", function()
      local parent = process.fork(function()
        process.wait(assert(spawn("echo $$; exec sleep 60")))
      end)
      local pid = eventually("the program did not start", function()
        local started, text = pcall(read, "out")
        return started and tonumber(text:match("^(%d+)\n"))
      end)
      assert.is_true(lives(pid))
      process.kill(parent, "KILL")
      process.wait(parent)
      eventually("the program outlived its parent", function() return not lives(pid) end)
    end)

    it("takes strings, and at least a program", function()
      assert.has_error(function() process.spawn({}) end)
      assert.has_error(function() process.spawn({ "echo", 1 }) end)
      assert.has_error(function() process.spawn({ "echo", env = { "x" } }) end)
    end)
  end)

  describe("free_port", function()
    it("gives a port that can be listened on", function()
      local server = assert(require("socket").bind("127.0.0.1", process.free_port()))
      server:close()
    end)
  end)

  describe("count_fds", function()
    it("counts what is opened and closed", function()
      local before = process.count_fds()
      local file = assert(io.open(folder .. "/file", "w"))
      assert.are.equal(before + 1, process.count_fds())
      file:close()
      assert.are.equal(before, process.count_fds())
    end)
  end)

  describe("limit", function()
    it("sets a soft limit and gives the one before", function()
      local before = assert(process.limit("nofile"))
      assert.are.equal(before, process.limit("nofile", 64))
      assert.are.equal(64, process.limit("nofile", before))
      assert.are.equal(before, process.limit("nofile"))
    end)
  end)

  describe("mount_tmpfs", function()
    it("mounts a file system of that size, or says why not", function()
      local mounted, message = process.mount_tmpfs(folder, 65536)
      if not mounted then
        assert.matches("^mount: ", message)
        return
      end
      local file = assert(io.open(folder .. "/file", "w"))
      file:setvbuf("no")
      local written = file:write(("x"):rep(131072))
      file:close()
      assert.is_true(process.umount(folder))
      assert.is_nil(written)
      assert.is_nil(io.open(folder .. "/file"))
    end)
  end)
end)
