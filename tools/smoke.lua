-- Whether an installed job_tracker works: finds it on Lua's usual paths, then
-- creates, updates and reads a job in both kinds of store. Prints the version.
--
--   lua5.4 tools/smoke.lua FOLDER     FOLDER: a folder for a store file

local job_tracker = require "job_tracker"
assert(require("job_tracker.pipeline").new)

local function try(tracker)
  local id = assert(tracker.create_job("smoke"))
  assert(tracker.update_job(id, {
    status = "running", progress = 0.5, result = { sections = { "one", "two" } },
  }))
  local job = assert(tracker.get_job(id))
  assert(job.task_id == id and job.status == "running" and job.progress == 0.5)
  assert(job.result.sections[2] == "two")
end

try(job_tracker.JobTracker)
local path = assert(arg[1], "usage: smoke.lua FOLDER") .. "/smoke.store"
local tracker = assert(job_tracker.JobTracker.open(path))
try(tracker)
tracker.close()
assert(os.remove(path))
print(job_tracker._VERSION)
