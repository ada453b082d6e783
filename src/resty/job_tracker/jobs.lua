-- jobs: one job's answers, GET jobs/<id>, at once or after waiting for a change. The
-- store's JSON is sent as it is: nothing is decoded, nothing encoded.

local problem = require "resty.job_tracker.problem"
local request = require "resty.job_tracker.request"
local source = require "resty.job_tracker.source"
local watch = require "resty.job_tracker.watch"

local jobs = {}

local LONGEST_WAIT = 30

-- A job's JSON has its fields in a fixed order, and ids need no escapes: the first bytes
-- say whether it is finished.
local STATUS = '^{"task_id":"[^"]*","task_type":"[^"]*","status":"(%l+)"'
local FINISHED = { completed = true, failed = true }

---@param json string a job's
---@return boolean
function jobs.is_finished(json) return FINISHED[json:match(STATUS)] == true end

---Answers with the job. nginx compares the ETag with If-None-Match by itself, and turns a
---200 whose version the client has into a 304.
---@param json string
---@param version integer
function jobs.send(json, version)
  if not jobs.is_finished(json) then ngx.header["Retry-After"] = problem.RETRY_AFTER end
  ngx.header["ETag"] = ('"%d"'):format(version)
  problem.send("application/json", json)
end

local function long_poll(id, seconds, settings)
  if watch.users() >= settings.max_streams then
    return problem.answer(429, "Too many requests are waiting already.")
  end
  local watched, message, code = watch.job(id)
  if not watched then return problem.refused(message --[[@as string]], code) end
  local have = watched.version
  watched:hold(function()
    watched:wait(math.min(seconds, LONGEST_WAIT), function(self) return self.version ~= have end)
  end)
  if not watched.json then return problem.not_found() end
  jobs.send(watched.json, watched.version --[[@as integer]])
end

---@param settings table
---@param id string
function jobs.get(settings, id)
  local seconds, complaint
  if ngx.var.args or ngx.var.http_prefer then
    local arguments
    arguments, complaint = request.arguments()
    if arguments then seconds, complaint = request.wait(arguments) end
    if complaint then return problem.answer(400, complaint) end
  end
  local json, version, code = source.get_json(id)
  if not json then return problem.refused(version --[[@as string]], code) end
  local condition = ngx.var.http_if_none_match
  local has_news = condition and not request.has_version(version --[[@as integer]])
  if not seconds or seconds == 0 or has_news or jobs.is_finished(json) then
    return jobs.send(json, version --[[@as integer]])
  end
  long_poll(id, seconds, settings)
end

return jobs
