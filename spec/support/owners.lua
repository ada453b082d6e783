-- Processes that own jobs, for specs: how one begins to work, what is said when
-- it dies, and the kinds of stores on which its jobs are looked at.

local child = require "child"
local store_file = require "store_file"
local wait_until = require "wait_until"
local assert = require "luassert"
local JobTracker = require("job_tracker").JobTracker

local owners = {}

---The step in which owners that begin are.
owners.STEP = "sections 3/7: Memory order"

---The error of a job whose owner had that pid.
---@param pid integer
---@param step string? STEP unless given
---@return string
function owners.death_of(pid, step)
  return ("the process working on this job (pid %d) died during: %s"):format(pid,
    step or owners.STEP)
end

---Claims and starts the job, in the process that works on it.
---@param tracker table
---@param id string
function owners.begin(tracker, id)
  assert(tracker.claim_job(id))
  assert(tracker.update_job(id, { status = "running", progress = 0.25,
    current_step = owners.STEP, meta = { user = "ada" } }))
end

---@param tracker table
---@param id string
function owners.await_running(tracker, id)
  wait_until(function() return tracker.get_job(id).status == "running" end, "the owner to begin")
end

---Forks an owner of the job that has begun, and that ends with the job.
---@param tracker table
---@param id string
---@return Child
function owners.start(tracker, id)
  local owner = child.start(function()
    owners.begin(tracker, id)
    tracker.wait_job(id)
  end)
  owners.await_running(tracker, id)
  return owner
end

-- The owner's tracker and that of who looks.
local KINDS = {
  ["in memory"] = function() return JobTracker, JobTracker end,
  ["on a file"] = function()
    local tracker = assert(JobTracker.open(store_file.path(), { size = "1M" }))
    return tracker, tracker
  end,
  ["on a file that is opened twice"] = function()
    local path = store_file.path()
    return assert(JobTracker.open(path, { size = "1M" })), assert(JobTracker.open(path))
  end,
  ["on a file, read-only"] = function()
    local path = store_file.path()
    return assert(JobTracker.open(path, { size = "1M" })),
      assert(JobTracker.open(path, { readonly = true }))
  end,
}

---Calls 'body' for each kind, with its name and a function that opens it: it
---returns the owner's tracker, that of who looks, whether that one may write,
---and a function that closes both.
---@param body fun(kind: string, open: fun(): table, table, boolean, fun())
function owners.each_kind(body)
  for kind, open in pairs(KINDS) do
    body(kind, function()
      local owner, look = open()
      return owner, look, not kind:find("read-only", 1, true), function()
        if owner == JobTracker then return end
        if look ~= owner then look.close() end
        owner.close()
      end
    end)
  end
end

---Expects that a call returned nil, a message and this code.
---@return string message
function owners.expect_code(expected, result, message, code)
  assert.is_nil(result)
  assert.equal("string", type(message))
  assert.equal(expected, code)
  return message
end

return owners
