--- A job that nginx does itself, for nginx-memory.conf: `POST /jobs` creates it,
--- answers with its address at once, and goes on working. Stands for whatever a
--- worker of yours does.

local JobTracker = require("job_tracker").JobTracker
local job_endpoint = require "job_endpoint"

local countdown = {}

local STEPS, PAUSE = 12, 0.25

local function report(id, fields) return assert(JobTracker.update_job(id, fields)) end

local function work(id)
  for step = 1, STEPS do
    ngx.sleep(PAUSE) -- gives way: the worker serves others meanwhile
    report(id, {
      status = "running",
      progress = step / STEPS,
      current_step = ("Step %d of %d"):format(step, STEPS),
    })
  end
  report(id, { status = "completed", result = { steps = STEPS } })
end

function countdown.start()
  if ngx.req.get_method() ~= "POST" then
    ngx.header["Allow"] = "POST"
    return job_endpoint.problem(405, "Jobs are created here, with POST.")
  end
  local id, message = JobTracker.create_job("countdown")
  if not id then
    ngx.log(ngx.ERR, "job store: ", message)
    return job_endpoint.problem(503, "There is no room for another job.")
  end
  ngx.status = 202
  ngx.header["Location"] = "/jobs/" .. id
  ngx.header["Content-Length"] = 0
  ngx.eof() -- the client has its answer; no timer is needed to go on
  local done, trouble = pcall(work, id)
  if not done then report(id, { status = "failed", error = tostring(trouble) }) end
end

return countdown
