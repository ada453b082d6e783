-- Runs Lua functions in forked children and brings their errors home: a child
-- that raised, died of a signal or did not end in time fails the spec that
-- asked for it. Knows nothing of job_tracker.

local process = require "process"
local assert = require "luassert"

local child = {}

---@class Child
---@field pid integer
---@field private report string where the child writes its error
---@field private ended boolean
local Child = {}
Child.__index = Child

---@type table<integer, Child>
local living = {}

local function read_and_remove(path)
  local file = io.open(path, "r")
  local text = file and file:read("*a") or ""
  if file then file:close() end
  os.remove(path)
  return text
end

local function write_report(path, message)
  local file = io.open(path, "w")
  if file then
    file:write(message)
    file:close()
  end
end

local function run_reporting(body, report)
  local ok, message = xpcall(body, function(problem)
    return debug.traceback(tostring(problem), 2)
  end)
  if not ok then
    write_report(report, message)
    error(message, 0)
  end
end

---Forks a child that runs 'body' and then ends.
---@param body fun()
---@return Child
function child.start(body)
  local report = os.tmpname()
  local pid = assert(process.fork(function() run_reporting(body, report) end))
  local self = setmetatable({ pid = pid, report = report, ended = false }, Child)
  living[pid] = self
  return self
end

---Waits until the child ends, for at most 'timeout' seconds (30).
---@param timeout number?
---@return string how "exit", "signal" or "timeout"
---@return integer? code the exit status or the signal
---@return string report what it raised, or ""
function Child:wait(timeout)
  local how, code = process.wait(self.pid, timeout or 30)
  if how == "timeout" then return how, nil, "" end
  self.ended = true
  living[self.pid] = nil
  return how, code, read_and_remove(self.report)
end

---Waits for the child and fails unless it ended well.
---@param timeout number?
function Child:finish(timeout)
  local how, code, report = self:wait(timeout)
  if how == "timeout" then
    self:kill("KILL")
    self:wait()
    assert(false, "a child did not end within " .. (timeout or 30) .. " s")
  end
  assert(report == "", report)
  assert(how == "exit" and code == 0, "a child ended by " .. how .. " " .. tostring(code))
end

---@param signal string|integer
function Child:kill(signal) process.kill(self.pid, signal) end

---Kills the child with SIGKILL and waits for its death. Fails where it had
---ended by itself before, because then nothing was killed.
function Child:kill_dead()
  self:kill("KILL")
  local how, code, report = self:wait()
  assert(report == "", report)
  assert(how == "signal" and code == 9, "the child ended by itself: " .. how .. " "
    .. tostring(code))
end

---Whether the process 'pid' sleeps in a system call.
---@param pid integer
---@return boolean
function child.sleeps(pid)
  local file = io.open("/proc/" .. pid .. "/stat", "r")
  local text = file and file:read("*a") or ""
  if file then file:close() end
  return text:match("^.*%)%s+(%a)") == "S"
end

---Runs 'body' in a child and fails unless it ends well.
---@param body fun()
---@param timeout number?
function child.run(body, timeout) child.start(body):finish(timeout) end

---Ends whatever a failed spec left behind: for after_each.
function child.end_all()
  local left = {}
  for _, one in pairs(living) do left[#left + 1] = one end
  for _, one in ipairs(left) do
    one:kill("KILL")
    one:wait()
  end
end

return child
