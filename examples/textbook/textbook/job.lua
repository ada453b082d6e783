-- job: one job of a tracker, as the pipeline sees it: it moves forward, it ends
-- well or badly, and it can be taken away by somebody else, which stops the
-- pipeline. It knows no text.

---@class textbook.Job
---@field id string
---@field tracker table
---@field shown fun(progress: number, step: string)
local Job = {}
Job.__index = Job

-- What the steps' report raises when the job is gone: no fault of the program.
---@class textbook.Stopped
---@field stopped string why

-- The end of a job is told again if a stopped writer holds the lock: each try
-- waits for a second in the tracker.
local LAST_TRIES = 5

-- A version that no job reaches: waiting for it is waiting for the time to pass.
local NEVER = 2 ^ 53

---Creates a job in the tracker's store.
---@param tracker table a JobTracker
---@param task_type string
---@param shown fun(progress: number, step: string) is told what the job is told
---@return textbook.Job?
---@return string? message
function Job.create(tracker, task_type, shown)
  local id, message = tracker.create_job(task_type)
  if not id then return nil, message end
  return setmetatable({ id = id, tracker = tracker, shown = shown }, Job)
end

---Progress may be lost while the store is busy; a job that was deleted or ended
---from outside stops the pipeline.
---@param fields table
function Job:update(fields)
  local updated, message, code = self.tracker.update_job(self.id, fields)
  if not updated and code ~= "busy" then
    error({ stopped = ("the job can no longer be updated: %s"):format(message) }, 0)
  end
end

---Says how far it is. That it is running is said each time: a job that somebody
---else has ended refuses that, where it would take the other fields.
---@param progress number
---@param step string
---@param meta table what is known of the source
function Job:report(progress, step, meta)
  self:update { status = "running", progress = progress, current_step = step,
                meta = meta }
  self.shown(progress, step)
end

---Lets time pass, so that a person can watch. The job waits for a version of
---itself that never comes: no processor time, no second process, and, unlike a
---sleep, over at once when somebody deletes the job.
---@param seconds number
function Job:pause(seconds)
  if seconds <= 0 then return end
  local _, message, code = self.tracker.wait_job(self.id,
                                                 { timeout = seconds, after = NEVER })
  if code == "not_found" then
    error({ stopped = "the job can no longer be updated: " .. message }, 0)
  end
end

---The last update of a job; nil and a message if the store refused it.
---@param fields table
---@return true?
---@return string? message
function Job:finish(fields)
  local updated, message, code
  for _ = 1, LAST_TRIES do
    updated, message, code = self.tracker.update_job(self.id, fields)
    if updated or code ~= "busy" then break end
  end
  return updated, message
end

return Job
