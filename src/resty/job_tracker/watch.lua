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
local BATCH = 500 -- jobs: what one answer to "what has changed?" holds
local TURNS = 600 -- of one timer, before another takes over: nginx frees a timer's memory at its end

---@class resty.job_tracker.Watch
---@field json string? the job's, the latest; nil: there is no such job
---@field version integer? its
---@field changes table? of a watch of all jobs: the last batch
---@field upto integer? the version that the batch reaches to
---@field private waiting table<table, true>
---@field private users integer
local Watch = {}
Watch.__index = Watch

local jobs = {}        ---@type table<string, resty.job_tracker.Watch>
local all              ---@type resty.job_tracker.Watch?
local seen, seen_dead  -- of the store, by the poller
local unread = false   -- something could not be read at the last look
local users = 0        -- of all watches
local told = {}        -- versions that the last batch has told, by id

-- --------------------------------------------------------------------- waiting

local function wake(self)
  for one in pairs(self.waiting) do one:post(1) end
end

---Whether this worker is to end: streams are to end too.
---@return boolean
function watch.ending() return ngx.worker.exiting() end

---Waits until 'is_new(self)', for some seconds at most, or until the worker is to end.
---@param seconds number
---@param is_new fun(self: resty.job_tracker.Watch): boolean
---@return boolean whether it is new
function Watch:wait(seconds, is_new)
  local ends = ngx.now() + seconds
  local bell = semaphore.new(0)
  self.waiting[bell] = true
  while not is_new(self) and not watch.ending() do
    local left = ends - ngx.now()
    if left <= 0 or not bell:wait(left) then break end
    ngx.update_time()
  end
  self.waiting[bell] = nil
  return is_new(self)
end

local function leave(self)
  self.users, users = self.users - 1, users - 1
  if self.users > 0 then return end
  if self == all then all = nil else jobs[self.id] = nil end
end

---Runs 'body' and gives the watch up, whatever happens: a client that leaves ends the
---request (with lua_check_client_abort), in the middle of whatever it does.
---@param body fun()
function Watch:hold(body)
  local held = true
  local function let_go()
    if held then leave(self) end
    held = false
  end
  ngx.on_abort(function()
    let_go()
    ngx.exit(499)
  end)
  local done, trouble = pcall(body)
  let_go()
  if not done then error(trouble, 0) end
end

local function join(self)
  self.users, users = self.users + 1, users + 1
  return self
end

local function new(id) return setmetatable({ id = id, waiting = {}, users = 0 }, Watch) end

---How many watch anything in this worker.
---@return integer
function watch.users() return users end

-- --------------------------------------------------------------------- reading

-- Reads the job anew. False: it could not be read now.
local function refresh(self)
  local json, version, code = source.get_json(self.id)
  if not json and (code == "busy" or code == "unavailable") then return false end
  if version ~= self.version or not json then
    local changed = self.json ~= json
    self.json, self.version = json, json and version --[[@as integer]] or nil
    if changed then wake(self) end
  end
  return true
end

---A watch of the job, to be held at once; or nil, message, code as get_json gives them.
---@param id string
---@return resty.job_tracker.Watch?
---@return string? message
---@return string? code
function watch.job(id)
  local self = jobs[id] or new(id)
  local json, version, code = source.get_json(id)
  if not json then return nil, version --[[@as string]], code end
  if self.version ~= version then
    self.json, self.version = json, version --[[@as integer]]
    wake(self)
  end
  jobs[id] = self
  return join(self)
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
  local changes, upto = tracker.list_changes(all.upto, { limit = BATCH })
  if not changes then return false end
  all.from, all.upto = all.upto, upto
  all.changes = without_told(changes)
  wake(all)
  return upto >= version
end

---A watch of all jobs, to be held at once; nil while there is no store.
---@return resty.job_tracker.Watch?
function watch.all()
  local tracker = source.tracker()
  if not tracker then return nil end
  if not all then
    all = new()
    all.upto = tracker.version()
    all.from, all.changes = all.upto, {}
  end
  return join(all)
end

---What has changed since 'after': the batch, for who has all that was before it (some of it
---may then come twice), else what the store says. Array of jobs, and the version it reaches
---to; or nil, message, code.
---@param after integer
---@return table? jobs
---@return integer|string upto
---@return string? code
function Watch:since(after)
  if after >= self.from then return self.changes, math.max(after, self.upto) end
  return watch.changes(after)
end

---The same, from the store. The jobs of dead owners are always among them.
---@param after integer
---@return table? jobs
---@return integer|string upto
---@return string? code
function watch.changes(after)
  local tracker = source.tracker()
  if not tracker then return nil, "the store cannot be opened", "unavailable" end
  return tracker.list_changes(after, { limit = BATCH })
end

-- --------------------------------------------------------------------- polling

local function look()
  local tracker = users > 0 and source.tracker()
  if not tracker then return end
  local version, dead = tracker.version()
  if version == seen and dead == seen_dead and not unread then return end
  seen, seen_dead, unread = version, dead, false
  for _, self in pairs(jobs) do
    if not refresh(self) then unread = true end
  end
  if all and not next_batch(tracker, version) then unread = true end
end

local function wake_all()
  for _, self in pairs(jobs) do wake(self) end
  if all then wake(all) end
end

local poll

local function start()
  local started, trouble = ngx.timer.at(0, poll)
  if not started and not ngx.worker.exiting() then
    ngx.log(ngx.ERR, "job_tracker: no timer for the streams: ", trouble)
  end
end

function poll(premature)
  for _ = 1, TURNS do
    if premature or ngx.worker.exiting() then break end
    local looked, trouble = pcall(look)
    if not looked then ngx.log(ngx.ERR, "job_tracker: ", trouble) end
    ngx.sleep(PERIOD)
  end
  if ngx.worker.exiting() then wake_all() else start() end
end

---Starts the poller: once in each worker, in init_worker_by_lua.
function watch.start() start() end

return watch
