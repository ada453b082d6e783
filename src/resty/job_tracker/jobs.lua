-- jobs: one job's answers, GET jobs/<id>, at once or after waiting for a change. The
-- store's JSON is sent as it is: nothing is decoded, nothing encoded.

local problem = require "resty.job_tracker.problem"
local request = require "resty.job_tracker.request"
local source = require "resty.job_tracker.source"
local watch = require "resty.job_tracker.watch"

local jobs = {}

local LONGEST_WAIT = 30

-- A job's JSON has its fields in a fixed order, and neither ids nor types need escapes: what
-- follows the first "status": is the status.
local STATUS = ',"status":"'
local COMPLETED, FAILED = ("cf"):byte(1, 2)

---@param json string a job's
---@return boolean
function jobs.is_finished(json)
  local _, last = json:find(STATUS, 1, true)
  local first = json:byte(last + 1)
  return first == COMPLETED or first == FAILED
end

---Answers with the job. nginx compares the ETag with If-None-Match by itself, and turns a
---200 whose version the client has into a 304.
---@param json string
---@param version integer
function jobs.send(json, version)
  if not jobs.is_finished(json) then ngx.header["Retry-After"] = problem.RETRY_AFTER end
  ngx.header["ETag"] = ('"%d"'):format(version)
  problem.send("application/json", json)
end

-- Waits for another version than 'have', the one that was looked at: the watch begins with
-- a look of its own, and what happened between the two is news.
local function long_poll(settings, id, seconds, have)
  if watch.users() >= settings.max_streams then
    return problem.answer(429, "Too many requests are waiting already.")
  end
  local watched, message, code = watch.job(id)
  if not watched then return problem.refused(message --[[@as string]], code) end
  watched:hold(function(bell)
    watched:wait(bell, math.min(seconds, LONGEST_WAIT),
      function(self) return self.version ~= have end)
  end)
  if not watched.json then return problem.refused("the job is damaged", watched.code) end
  jobs.send(watched.json, watched.version --[[@as integer]])
end

-- How long the client would wait for a change, if at all; nil and a complaint.
local function patience()
  local arguments, complaint = request.arguments()
  if not arguments then return nil, complaint end
  return request.wait(arguments)
end

---GET jobs/<id>
---@param settings table
---@param id string
function jobs.get(settings, id)
  local seconds, complaint
  if ngx.var.args or ngx.var.http_prefer then
    seconds, complaint = patience()
    if complaint then return problem.answer(400, complaint) end
  end
  local json, version, code = source.get_json(id)
  if not json then return problem.refused(version --[[@as string]], code) end
  if seconds and seconds > 0 and not jobs.is_finished(json)
    and request.may_have(version --[[@as integer]]) then
    return long_poll(settings, id, seconds, version)
  end
  jobs.send(json, version --[[@as integer]])
end

return jobs
