-- queue: what waits in this process for its turn, and the few runners that take it up.
-- Knows neither nginx nor jobs: it is given timers, and things that can go.
--
-- A runner is a timer that goes on until nothing waits. nginx may refuse a timer, and
-- drops one silently that is due while too many others run; so the queue does not
-- rely on them: 'tick', called every second by a timer that comes again, starts the
-- runners that are missing. When the process exits nothing new is begun.

---@class job_tracker.Waiting
---@field go fun(self): any does it, to its end
---@field still_wanted fun(self): boolean ends it, if it is not to be done any more
---@field abandon fun(self) ends it: there is nobody left to do it

---@class job_tracker.Queue
---@field size integer how many may wait
---@field runners integer how many may run at a time
---@field running integer
---@field private timers job_tracker.Timers
---@field private starting integer runners that have not begun yet, or never will
---@field private waiting job_tracker.Waiting[]
local Queue = {}
Queue.__index = Queue

local TICK = 1 -- seconds

---nil where there is no timer to be had.
---@param timers job_tracker.Timers
---@param size integer
---@param runners integer
---@return job_tracker.Queue?
function Queue.new(timers, size, runners)
  local self = setmetatable({ timers = timers, size = size, runners = runners, waiting = {},
                              running = 0, starting = 0 }, Queue)
  local ticks = timers.every(TICK, function(is_exiting)
    if is_exiting then self:close() else self:tick() end
  end)
  return ticks and self or nil
end

function Queue:is_full() return #self.waiting >= self.size end

---Whether a runner begins: one more than may run has no business here.
function Queue:begin()
  self.starting = math.max(0, self.starting - 1)
  if self.running >= self.runners then return false end
  self.running = self.running + 1
  return true
end

function Queue:work()
  if not self:begin() then return end
  while self.waiting[1] and not self.timers.is_exiting() do
    self:safely("go", table.remove(self.waiting, 1))
  end
  self.running = self.running - 1
  if self.timers.is_exiting() then self:close() end
end

---A runner outlives what it runs.
---@return any
function Queue:safely(method, one)
  local called, value = pcall(one[method], one)
  if called then return value end
  self.timers.complain(tostring(value))
end

---Starts a runner, unless enough are there.
function Queue:wake()
  if self.running + self.starting >= self.runners then return end
  local started = self.timers.soon(function(is_exiting)
    if is_exiting then self:close() else self:work() end
  end)
  if started then self.starting = self.starting + 1 end
end

---@param one job_tracker.Waiting
function Queue:push(one)
  self.waiting[#self.waiting + 1] = one
  self:wake()
end

---Lets go of what is not wanted any more, and starts the runners that got lost.
function Queue:tick()
  local still = {}
  for _, one in ipairs(self.waiting) do
    if self:safely("still_wanted", one) then still[#still + 1] = one end
  end
  self.waiting, self.starting = still, 0
  for _ = 1, #still do self:wake() end
end

---Ends all that waits.
function Queue:close()
  local waiting = self.waiting
  self.waiting = {}
  for _, one in ipairs(waiting) do self:safely("abandon", one) end
end

return Queue
