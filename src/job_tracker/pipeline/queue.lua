-- queue: what waits in this process for its turn, and the few runners that take it up.
-- Knows neither nginx nor jobs: it is given timers, and things that can go.
--
-- A runner is a timer that goes on until nothing waits. nginx may refuse a timer, and
-- drops one silently that is due while too many others run; so the queue does not
-- rely on them: 'tick', called every second by a timer that comes again, starts the
-- runners that are missing. That timer may be dropped, too, while the runners run: each
-- has two hearts that beat beside what it runs. One does the same. The other says that the
-- runner is alive: ngx.exit in what is run ends a runner in the middle, hearts and all, with
-- nobody told, and one that is silent for some ticks is lost. When the process exits nothing
-- new is begun.

local text = require "job_tracker.pipeline.text"

---@class job_tracker.Waiting
---@field go fun(self): any does it, to its end
---@field still_wanted fun(self): boolean whether it is to be done; does not wait
---@field abandon fun(self) ends it: it is not wanted, or there is nobody left to do it
---@field lost fun(self) ends it: who did it has come to an end in the middle

---@class job_tracker.Runner
---@field silent integer ticks since it was said to be alive
---@field one job_tracker.Waiting? what it is doing

---@class job_tracker.Queue
---@field size integer how many may wait
---@field runners integer how many may run at a time
---@field running integer
---@field private timers job_tracker.Timers
---@field private starting integer runners that have not begun yet, or never will
---@field private waiting job_tracker.Waiting[]
---@field private ending { method: string, one: job_tracker.Waiting }[] what is to be ended now
---@field private at_work table<job_tracker.Runner, true> those that have begun
---@field private looked_at integer? the second of the last look at what waits
local Queue = {}
Queue.__index = Queue

local TICK = 1 -- seconds
local SILENT = 3 -- ticks; a step that blocks the worker holds up hearts and ticks alike

---nil where there is no timer to be had.
---@param timers job_tracker.Timers
---@param size integer
---@param runners integer
---@return job_tracker.Queue?
function Queue.new(timers, size, runners)
  local self = setmetatable({ timers = timers, size = size, runners = runners, waiting = {},
                              ending = {}, at_work = {}, running = 0, starting = 0 }, Queue)
  local ticks = timers.every(TICK, function(is_exiting)
    if is_exiting then self:close() else self:tick() end
  end)
  return ticks and self or nil
end

---What a runner is free for does not wait, though the runner may not have begun yet.
function Queue:is_full()
  return #self.waiting >= self.size + math.max(0, self.runners - self.running)
end

---Whether the runner begins: one more than may run has no business here.
function Queue:begin(runner)
  self.starting = math.max(0, self.starting - 1)
  if self.running >= self.runners then return false end
  self.running, self.at_work[runner] = self.running + 1, true
  return true
end

function Queue:leave(runner)
  if not self.at_work[runner] then return end
  self.running, self.at_work[runner] = self.running - 1, nil
end

function Queue:work(runner)
  if not self:begin(runner) then return end
  while self.waiting[1] and self.at_work[runner] and not self.timers.is_exiting() do
    runner.one = table.remove(self.waiting, 1)
    self:safely("go", runner.one)
  end
  self:leave(runner)
  if self.timers.is_exiting() then self:close() end
end

---A runner outlives what it runs.
---@return any
function Queue:safely(method, one)
  local called, value = pcall(one[method], one)
  if called then return value end
  self.timers.complain(text.shown(value))
end

---Starts a runner, unless enough are there.
function Queue:wake()
  if self.running + self.starting >= self.runners then return end
  local runner = { silent = 0 }
  local function is_alive() runner.silent = 0 end
  local function look() if self.looked_at ~= os.time() then self:look_after() end end
  local started = self.timers.soon(function(is_exiting)
    if is_exiting then self:close() else self:work(runner) end
  end, TICK, { is_alive, look }) -- what look ends may take its time
  if started then self.starting = self.starting + 1 end
end

---@param one job_tracker.Waiting
function Queue:push(one)
  self.waiting[#self.waiting + 1] = one
  self:wake()
end

-- What ends a job may call its author's function, which may wait, or end the handler:
-- nothing of the queue is half changed by then, and who comes next goes on with the rest.
function Queue:end_all()
  while self.ending[1] do
    local this = table.remove(self.ending, 1)
    self:safely(this.method, this.one)
  end
end

function Queue:will_end(method, one)
  self.ending[#self.ending + 1] = { method = method, one = one }
end

---Counts the runners, and looks after what waits.
function Queue:tick()
  local silent = {}
  for runner in pairs(self.at_work) do
    runner.silent = runner.silent + 1
    if runner.silent > SILENT then silent[#silent + 1] = runner end
  end
  for _, runner in ipairs(silent) do
    self:leave(runner)
    if runner.one then self:will_end("lost", runner.one) end
  end
  self:look_after()
end

---Lets go of what is not wanted any more, and starts the runners that got lost.
function Queue:look_after()
  local still = {}
  for _, one in ipairs(self.waiting) do
    if self:safely("still_wanted", one) then still[#still + 1] = one
    else self:will_end("abandon", one) end
  end
  self.waiting, self.starting, self.looked_at = still, 0, os.time()
  for _ = 1, #still do self:wake() end
  self:end_all()
end

---Ends all that waits.
function Queue:close()
  for _, one in ipairs(self.waiting) do self:will_end("abandon", one) end
  self.waiting = {}
  self:end_all()
end

return Queue
