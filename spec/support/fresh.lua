-- Runs a function in an interpreter of its own, started with exec: a process
-- that shares nothing with this one but files. The function must not use local
-- variables from outside itself; it takes strings and answers by io.write.

local process = require "process"
local store_file = require "store_file"
local assert = require "luassert"

local fresh = {}

local function own_interpreter()
  local pipe = assert(io.popen("readlink /proc/" .. process.getpid() .. "/exe"))
  local path = pipe:read("*l")
  pipe:close()
  return assert(path, "the interpreter's path is unknown")
end

local function check_upvalues(body)
  local index = 1
  local name = debug.getupvalue(body, index)
  while name do
    assert(name == "_ENV", "a fresh process cannot see the local '" .. name .. "'")
    index = index + 1
    name = debug.getupvalue(body, index)
  end
end

local function write_chunk(body, path)
  check_upvalues(body)
  store_file.write(path, string.dump(body))
end

---@class Fresh
---@field pid integer
---@field private output string
---@field private errors string
local Fresh = {}
Fresh.__index = Fresh

---@type table<integer, Fresh>
local living = {}

---Starts 'body' with the arguments given, in an interpreter that is run by the
---command in 'prefix' ({} for none).
---@param prefix string[]
---@param body function
---@param ... string|number
---@return Fresh
function fresh.start_by(prefix, body, ...)
  local folder = store_file.folder()
  local chunk = folder .. "/chunk"
  write_chunk(body, chunk)
  local command = { stdout = folder .. "/stdout", stderr = folder .. "/stderr" }
  for _, word in ipairs(prefix) do command[#command + 1] = word end
  command[#command + 1] = own_interpreter()
  command[#command + 1] = chunk
  for _, word in ipairs({ ... }) do command[#command + 1] = tostring(word) end
  local self = setmetatable({ output = command.stdout, errors = command.stderr }, Fresh)
  self.pid = assert(process.spawn(command))
  living[self.pid] = self
  return self
end

---@param body function
---@param ... string|number
---@return Fresh
function fresh.start(body, ...) return fresh.start_by({}, body, ...) end

---Waits for the end, at most 'timeout' seconds (30).
---@return string how
---@return integer? code
---@return string output
---@return string errors
function Fresh:wait(timeout)
  local how, code = process.wait(self.pid, timeout or 30)
  if how == "timeout" then return how, nil, "", "" end
  living[self.pid] = nil
  return how, code, store_file.read(self.output), store_file.read(self.errors)
end

---Waits for a good end and returns what the function wrote.
---@return string
function Fresh:finish(timeout)
  local how, code, output, errors = self:wait(timeout)
  if how == "timeout" then
    self:kill("KILL")
    self:wait()
    assert(false, "a fresh process did not end within " .. (timeout or 30) .. " s")
  end
  assert(how == "exit" and code == 0, "a fresh process ended by " .. how .. " "
    .. tostring(code) .. ": " .. errors)
  return output
end

---@param signal string|integer
function Fresh:kill(signal) process.kill(self.pid, signal) end

---Runs 'body' to its good end and returns what it wrote.
---@return string
function fresh.run(body, ...) return fresh.start(body, ...):finish() end

---Ends whatever a failed spec left behind: for after_each.
function fresh.end_all()
  local left = {}
  for _, one in pairs(living) do left[#left + 1] = one end
  for _, one in ipairs(left) do
    one:kill("KILL")
    one:wait()
  end
end

return fresh
