-- guard: calls what a pipeline's author wrote, and says how that failed. Knows neither
-- jobs nor steps.

local text = require "job_tracker.pipeline.text"

local guard = {}

---Raised to end a run: its job is told the message.
---@class job_tracker.Stop
---@field message string
---@field code string
---@field traceback string?
---@field at table? the step, and its item, where the run ended
local Stop = {}

-- What the interpreters lua and luajit make of Ctrl-C, with a place before it or without.
local function is_interrupt(raised)
  return raised == "interrupted!"
    or type(raised) == "string" and raised:find("^[^\n]*:%d+: interrupted!$") ~= nil
end

---@param message string
---@param code string
---@param traceback string?
---@return job_tracker.Stop
function guard.stop(message, code, traceback)
  return setmetatable({ message = message, code = code, traceback = traceback }, Stop)
end

local function is_stop(raised) return getmetatable(raised) == Stop end

---For xpcall: a Stop of whatever was raised. Must not raise itself: in LuaJIT all would be
---lost, also who may be tried again.
---@param raised any
---@return job_tracker.Stop
function guard.caught(raised)
  if is_stop(raised) then return raised end
  if is_interrupt(raised) then return guard.stop("interrupted", "interrupted") end
  return guard.stop(text.message(raised), "raised", debug.traceback(text.shown(raised), 2))
end

---Calls a function of the author's. Returns true and its value, or false and the Stop of
---what it raised, or returned as nil and a message. Another Stop, one that is nobody's
---mistake, goes on its way.
---@param fn function
---@return boolean
---@return any
function guard.call(fn, ...)
  local called, value, message = xpcall(fn, guard.caught, ...)
  if not called and value.code ~= "raised" then error(value, 0) end
  if not called then return false, value end
  if value == nil and message ~= nil then
    return false, guard.stop(text.message(message), "raised")
  end
  return true, value
end

return guard
