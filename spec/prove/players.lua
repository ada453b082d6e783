-- Who takes part in a storm on a store file: writers that note what they begin and what has
-- returned, and readers, who find each job in between. Knows neither who kills them nor
-- through what a job is read.

local counted_job = require "counted_job"
local process = require "process"
local random = require "random"
local JobTracker = require("job_tracker").JobTracker

local players = {}

local SIZE = "1M" -- small: that jobs are evicted
local WIDTH = 12 -- of a number in the notes

---@class Writer
---@field path string the store file's
---@field notes string a file's path: what it has begun, then what has returned
---@field id string the job that only it updates

---@param path string
---@return table tracker
function players.open(path) return assert(JobTracker.open(path, { size = SIZE })) end

---A writer to be, and its job.
---@param tracker table
---@param path string
---@param number integer
---@return Writer
function players.writer(tracker, path, number)
  local self = { path = path, notes = ("%s.notes.%d"):format(path, number),
    id = assert(tracker.create_job("lasting")) }
  local file = assert(io.open(self.notes, "wb"))
  file:write(("%12d%12d"):format(0, 0))
  file:close()
  return self
end

-- ------------------------------------------------------------------------- notes

local function note_taker(path)
  local file = assert(io.open(path, "r+b"))
  file:setvbuf("no")
  return function(at, count)
    file:seek("set", at * WIDTH)
    file:write(("%12d"):format(count))
  end
end

local BEGUN, RETURNED = 0, 1

local function read_notes(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

-- What two looks agree on: one look may meet a number that is half written.
local function noted(self, which)
  local text, before
  repeat
    before, text = text, read_notes(self.notes):sub(which * WIDTH + 1, (which + 1) * WIDTH)
  until text == before
  return assert(tonumber(text))
end

-- ------------------------------------------------------------------------ readers

---Reads a writer's job by 'read', which returns it with absent fields nil, or nil where it
---could not be had. True: it is whole, not older than what had returned before, not newer
---than what was begun, nor older than when it was last seen. Else raises.
---@param self Writer
---@param seen table<string, integer> by id, kept by the reader
---@param read fun(id: string): table?
---@param late boolean? what 'read' gives is from some time ago, like a message of a stream
---@return boolean
function players.look(self, seen, read, late)
  local returned = late and 0 or noted(self, RETURNED)
  local job = read(self.id)
  if not job then return false end
  local begun, count = noted(self, BEGUN), counted_job.count_of(job)
  assert(count >= returned, ("%d had returned, %d was read"):format(returned, count))
  assert(count <= begun, ("%d was begun, %d was read"):format(begun, count))
  assert(count >= (seen[self.id] or 0), "a job went back")
  seen[self.id] = count
  return true
end

local function check_passing(job)
  local died = job.error and job.error:find("the process working on this job (pid ", 1, true)
  assert((job.status == "failed") == (died ~= nil), job.status)
end

---Looks at all jobs until it is killed.
---@param path string
---@param writers Writer[]
function players.read_on(path, writers)
  local tracker, seen = players.open(path), {}
  local numbers = random.new(process.getpid())
  while true do
    assert(players.look(numbers:pick(writers), seen, tracker.get_job))
    if numbers:chance(1, 20) then
      for _, job in ipairs(assert(tracker.list_jobs({ task_type = "passing" }))) do
        check_passing(job)
      end
    end
  end
end

-- ------------------------------------------------------------------------ writers

-- A job that is claimed and ends; or its owner does.
local function pass_one(tracker, numbers)
  local id = assert(tracker.create_job("passing"))
  assert(tracker.claim_job(id))
  assert(tracker.update_job(id, { status = "running", current_step = "passing" }))
  assert(tracker.update_job(id, { status = "completed",
    result = { ("x"):rep(numbers:whole(0, 3000)) } }))
  if not numbers:chance(1, 4) then return end
  local done, message, code = tracker.delete_job(id)
  assert(done or code == "not_found", message) -- it may have been evicted
end

---Counts on from where another one was, until it is killed. What 'update' returns tells
---whether it is known to have been done.
---@param self Writer
---@param update fun(count: integer): boolean
function players.write_counts(self, update)
  local note, count = note_taker(self.notes), noted(self, BEGUN)
  while true do
    count = count + 1
    note(BEGUN, count)
    if update(count) then note(RETURNED, count) end
  end
end

---Writes until it is killed, its own job and such as come and go.
---@param self Writer
function players.write_on(self)
  local tracker, numbers = players.open(self.path), random.new(process.getpid())
  players.write_counts(self, function(count)
    if numbers:chance(1, 8) then pass_one(tracker, numbers) end
    return assert(tracker.update_job(self.id, counted_job.fields_of(count)))
  end)
end

---A counter that outlasts its process, in a file.
---@param path string
---@return fun(more: integer)
function players.tally(path)
  local file, sum = assert(io.open(path, "wb")), 0
  file:setvbuf("no")
  return function(more)
    sum = sum + more
    file:seek("set", 0)
    file:write(("%d"):format(sum))
  end
end

---How many updates the writers have been told to have made.
---@param writers Writer[]
---@return integer
function players.updates(writers)
  local sum = 0
  for _, writer in ipairs(writers) do sum = sum + noted(writer, RETURNED) end
  return sum
end

---When all writers are dead: what whoever comes next finds.
---@param path string
---@param writers Writer[]
---@param seen table<string, integer>
function players.check_end(path, writers, seen)
  local tracker = players.open(path)
  for _, writer in ipairs(writers) do assert(players.look(writer, seen, tracker.get_job)) end
  for _, job in ipairs(assert(tracker.list_jobs({ task_type = "passing" }))) do
    check_passing(job)
  end
  assert(tracker.stats().damaged == 0, "damaged jobs")
  assert(tracker.clear_jobs())
  assert(tracker.stats().bytes_used == 0, "room is lost")
  tracker.close()
end

---A row for the table of spec/prove/run.
---@param promise string
---@param method string
---@param cases integer
---@param violations integer
function players.report(promise, method, cases, violations)
  print(("prove\t%s\t%s\t%d\t%d"):format(promise, method, cases, violations))
end

players.WHOLE = "a reader sees whole jobs"
players.KEPT = "a returned update is never lost"
players.KILLED = "a kill stops nobody and corrupts nothing"

return players
