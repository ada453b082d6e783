-- nginx: the one place where a pipeline knows OpenResty: its light threads and timers.
-- Elsewhere there are none, and these functions say so by returning nil.

local nginx = {}

-- The phases in which Lua code may wait without blocking the worker.
local WAITING = { rewrite = true, access = true, content = true, timer = true,
  server_rewrite = true, ssl_cert = true, ssl_session_fetch = true, ssl_client_hello = true }

---What a run needs to do several things at a time.
---@class job_tracker.Threads
---@field sleep fun(seconds: number) at least so long
---@field spawn fun(body: fun()): any a thread, which begins at once
---@field wait fun(thread: any) until it has ended

-- nginx counts whole milliseconds, from the time when it last looked at the clock: that was
-- before the step's own work.
local function sleep(ngx, seconds)
  ngx.update_time()
  ngx.sleep(seconds + 0.001)
end

---@return job_tracker.Threads?
function nginx.threads()
  local ngx = rawget(_G, "ngx")
  if not ngx or not ngx.get_phase or not WAITING[ngx.get_phase()] then return nil end
  return { sleep = function(seconds) sleep(ngx, seconds) end, spawn = ngx.thread.spawn,
    wait = ngx.thread.wait }
end

---What a queue needs of a worker process.
---@class job_tracker.Timers
---Runs 'body' in a moment, and every so many seconds meanwhile each of 'beats', which do
---not wait for one another; may get lost:
---@field soon fun(body: fun(is_exiting: boolean), seconds: number, beats: fun()[]): boolean?
---@field every fun(seconds: number, body: fun(is_exiting: boolean)): boolean?
---@field is_exiting fun(): boolean
---@field complain fun(message: string)

-- Calls 'beat' from time to time until it is stopped. A beat under way is not broken off.
local function new_heart(ngx, seconds, beat)
  local heart = { going = true }
  heart.thread = ngx.thread.spawn(function()
    while heart.going do
      heart.asleep = true
      ngx.sleep(seconds)
      heart.asleep = false
      if heart.going then beat() end
    end
  end)
  return heart
end

local function with_hearts(ngx, body, seconds, beats)
  local hearts = {}
  for index, beat in ipairs(beats) do hearts[index] = new_heart(ngx, seconds, beat) end
  body(false)
  for _, heart in ipairs(hearts) do
    heart.going = false
    if heart.asleep then ngx.thread.kill(heart.thread) end
  end
end

---@return job_tracker.Timers?
---@return string? message
function nginx.timers()
  local ngx = rawget(_G, "ngx")
  if not ngx or not ngx.timer then return nil, "there are no timers outside OpenResty" end
  if ngx.get_phase() == "init" then return nil, "there is no worker process in init_by_lua yet" end
  return {
    soon = function(body, seconds, beats)
      return ngx.timer.at(0, function(is_exiting)
        if is_exiting then return body(true) end
        with_hearts(ngx, body, seconds, beats)
      end)
    end,
    every = function(seconds, body) return ngx.timer.every(seconds, body) end,
    is_exiting = function() return ngx.worker.exiting() end,
    complain = function(message) ngx.log(ngx.ERR, "job_tracker.pipeline: ", message) end,
  }
end

return nginx
