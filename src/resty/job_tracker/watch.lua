-- watch: who waits for changes, and the one poller of each worker that wakes them. Knows
-- the store's version counter and nginx's semaphores, no HTTP.
--
-- The poller looks at the version every 50 ms: two loads from shared memory. Only when it
-- has moved are the watched jobs read, each once, however many wait for it, and only whose
-- own version has moved are woken. So a thousand idle streams cost what one does.
--
-- A watch of a job holds its latest JSON; who is slow finds the latest, not a queue. A
-- watch of all jobs holds what came since the last look as a batch; who has fallen behind
-- the batch asks the store for what has changed since.

local semaphore = require "ngx.semaphore"
local source = require "resty.job_tracker.source"

local watch = {}

local PERIOD = 0.05
local LATE = 1    -- seconds without a look: the poller is no more
local BATCH = 500 -- jobs: what one answer to "what has changed?" holds
-- Looks of one timer, before another takes over: nginx frees a timer's memory at its end.
local TURNS = 600

---@class resty.job_tracker.Watch
---@field json string? the job's, the latest; nil: there is no such job
---@field version integer? its
---@field code string? why there is no JSON, if not because there is no job
---@field changes table? of a watch of all jobs: the last batch
---@field number integer? the batch's, one more for each
---@field from integer? the version that the batch begins after
---@field upto integer? the version that it reaches to
---@field store integer? which store all that is of; nil: of one that is no more
---@field private bells table<table, true> of those who hold it
---@field private users integer how many these are
local Watch = {}
Watch.__index = Watch

local jobs = {}        ---@type table<string, resty.job_tracker.Watch>
local all              ---@type resty.job_tracker.Watch?
local seen, seen_dead, seen_store -- by the poller
local unread = false   -- something could not be read at the last look
local users = 0        -- of all watches
local told = {}        -- versions that the last batch has told, by id
local poller           -- the run of 'poll' that goes on; another takes over from time to time
local looked_at = 0    -- when it looked last
local attend           ---@type fun() has a poller started if there is none

-- --------------------------------------------------------------------- waiting

-- A bell that has been rung and not been heard is not rung again: a slow client does not
-- hear for long.
local function wake(self)
  for bell in pairs(self.bells) do
    if bell:count() < 1 then bell:post(1) end
  end
end

---Whether this worker is to end: streams are to end too.
---@return boolean
function watch.ending() return ngx.worker.exiting() end

---Waits until 'is_new(self)', for some seconds at most, or until the worker is to end.
---@param bell table what 'hold' gave
---@param seconds number
---@param is_new fun(self: resty.job_tracker.Watch): boolean
---@return boolean whether it is new
function Watch:wait(bell, seconds, is_new)
  attend()
  local ends = ngx.now() + seconds
  while not is_new(self) and not watch.ending() do
    local left = ends - ngx.now()
    if left <= 0 or not bell:wait(left) then break end
    ngx.update_time()
  end
  return is_new(self)
end

local function enter(self, bell)
  self.bells[bell] = true
  self.users, users = self.users + 1, users + 1
  if self.id then jobs[self.id] = self else all = self end
end

local function leave(self, bell)
  if not self.bells[bell] then return end
  self.bells[bell] = nil
  self.users, users = self.users - 1, users - 1
  if self.users > 0 then return end
  if self.id then jobs[self.id] = nil else all = nil end
end

-- Has the watch given up when Lua's collector finds that nobody holds the value any more.
local function leave_when_forgotten(self, bell)
  local held = newproxy(true)
  getmetatable(held).__gc = function() leave(self, bell) end
  return held
end

---Runs 'body' with a bell to wait for, and gives the watch up, whatever happens: a client
---that leaves ends the request (with lua_check_client_abort), in the middle of whatever it
---does. An application that has taken ngx.on_abort for itself may end it without us.
---@param body fun(bell: table)
function Watch:hold(body)
  local bell = assert(semaphore.new(0))
  enter(self, bell)
  local held = leave_when_forgotten(self, bell)
  ngx.on_abort(function()
    leave(self, bell)
    ngx.exit(499)
  end)
  local done, trouble = pcall(body, bell)
  getmetatable(held).__gc = nil -- and is held until here
  leave(self, bell)
  if not done then error(trouble, 0) end
end

local function new(id) return setmetatable({ id = id, bells = {}, users = 0 }, Watch) end

---How many watch anything in this worker.
---@return integer
function watch.users() return users end

-- --------------------------------------------------------------------- reading

-- Reads the job anew. False: it could not be read now. Where the store is no more there is
-- no job, and a code.
local function refresh(self)
  local json, version, code = source.get_json(self.id)
  if code == "busy" then return false end
  local changed = json ~= self.json
  self.json, self.version, self.code = json, json and version --[[@as integer]] or nil, code
  if changed then wake(self) end
  return true
end

---A watch of the job, to be held at once; or nil, message, code as get_json gives them.
---@param id string
---@return resty.job_tracker.Watch?
---@return string? message
---@return string? code
function watch.job(id)
  local json, version, code = source.get_json(id)
  if not json then return nil, version --[[@as string]], code end
  local self = jobs[id] or new(id)
  if self.json ~= json then
    self.json, self.version = json, version --[[@as integer]]
    wake(self)
  end
  return self
end

-- The jobs of dead owners that nobody may write off are among the changes each time: what the
-- batch before had just so is left out.
local function without_told(changes)
  local kept, telling = {}, {}
  for _, job in ipairs(changes) do
    local id, version = job.task_id, job.version
    telling[id] = version
    if told[id] ~= version then kept[#kept + 1] = job end
  end
  told = telling
  return kept
end

-- False: there is more to be told than this batch holds.
local function next_batch(tracker, version)
  local changes, upto, code = tracker.list_changes(all.upto, { limit = BATCH })
  if not changes then
    source.doubt(code)
    return false
  end
  all.from, all.upto, all.number = all.upto, upto, all.number + 1
  all.changes = without_told(changes)
  wake(all)
  return upto >= version
end

-- Has the watch of all jobs begin here.
local function begin_at(version)
  all.store, all.from, all.upto, all.changes = source.generation(), version, version, {}
  all.number = (all.number or 0) + 1
end

---A watch of all jobs, to be held at once, and the store's version; or nil, message, code as
---source.tracker gives them.
---@return resty.job_tracker.Watch?
---@return integer|string? version
---@return string? code
function watch.all()
  local tracker, message, code = source.tracker()
  if not tracker then return nil, message, code end
  local version = tracker.version()
  all = all or new()
  if not all.store then begin_at(version) end
  return all, version
end

---What has changed: the batch, for who has had the one before it and all until then (some of
---it may then come twice), else what the store says. Array of jobs, and the version it reaches to; or nil,
---message, code.
---@param place { after: integer, number: integer } the version and the batch that one has
---@return table? jobs
---@return integer|string upto
---@return string? code
function Watch:since(place)
  if self.number == place.number + 1 and place.after >= self.from then
    return self.changes, math.max(place.after, self.upto)
  end
  return self:changed_since(place.after)
end

---The same, from the store. The jobs of dead owners are always among them.
---@param after integer
---@return table? jobs
---@return integer|string upto
---@return string? code
function Watch:changed_since(after)
  local tracker = source.tracker()
  if self.store ~= source.generation() then return nil, "the store was replaced", "busy" end
  return tracker.list_changes(after, { limit = BATCH })
end

-- --------------------------------------------------------------------- polling

local function read_all(tracker, version)
  local whole = true
  for _, self in pairs(jobs) do whole = refresh(self) and whole end
  if not all then return whole end
  if source.generation() ~= seen_store then return false end -- just now: at the next look
  if all.store == seen_store then return next_batch(tracker, version) and whole end
  begin_at(version)
  wake(all)
  return whole
end

-- The store is no more: who waits is told.
local function give_up()
  for _, self in pairs(jobs) do refresh(self) end
  if not all or not all.store then return end
  all.store, all.number = nil, all.number + 1
  wake(all)
end

local function look()
  if users == 0 then return end
  local tracker = source.tracker()
  if not tracker then return give_up() end
  local version, dead = tracker.version()
  local store = source.generation()
  if version == seen and dead == seen_dead and store == seen_store and not unread then return end
  unread = true -- also if an error ends this look
  seen, seen_dead, seen_store = version, dead, store
  unread = not read_all(tracker, version)
end

local function wake_all()
  for _, self in pairs(jobs) do wake(self) end
  if all then wake(all) end
end

local complaint

-- An error that comes at every look is logged once.
local function look_safely()
  local looked, trouble = pcall(look)
  if not looked and trouble ~= complaint then ngx.log(ngx.ERR, "job_tracker: ", trouble) end
  complaint = not looked and trouble or nil
  looked_at = ngx.now()
end

local poll

local function start()
  local started, trouble = ngx.timer.at(0, poll)
  if not started and not ngx.worker.exiting() then
    ngx.log(ngx.ERR, "job_tracker: no timer for the streams: ", trouble)
  end
end

-- nginx may drop a timer that it has no room to run, without a word; so this one goes on
-- until the next has really taken over.
function poll(premature)
  local me, turns = {}, 0
  poller = me
  while poller == me and not premature and not ngx.worker.exiting() do
    look_safely()
    turns = turns + 1
    if turns % TURNS == 0 then start() end
    ngx.sleep(PERIOD)
  end
  if ngx.worker.exiting() then wake_all() end
end

function attend()
  if ngx.now() - looked_at <= LATE or watch.ending() then return end
  looked_at = ngx.now() -- one who has it started is enough
  start()
end

---Starts the poller: once in each worker, in init_worker_by_lua.
function watch.start()
  looked_at = ngx.now()
  start()
end

return watch
