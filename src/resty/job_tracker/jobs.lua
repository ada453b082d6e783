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

-- ------------------------------------------------------------- what is answered

-- Most polls find a job as it was. What this worker has sent last of a job is kept, and sent
-- again while its version is the same: then neither JSON nor ETag is made.
local MOST, LONGEST = 1000, 4096 -- jobs, bytes of a text: together 4 MB of a worker's memory

local sent, count = {}, 0 ---@type table<string, table>, integer by id
local generation          -- of the store that they are from

local function keep(id, answer)
  if #answer.json > LONGEST then return end
  if count == MOST then sent, count = {}, 0 end
  if not sent[id] then count = count + 1 end
  sent[id] = answer
end

local function answer_of(json, version)
  return { json = json, length = tostring(#json), version = version,
           etag = ('"%d"'):format(version), finished = jobs.is_finished(json) }
end

-- What GET answers, or nil, message, code as source.get_json gives them. Another store is
-- looked for first: what is kept is of the one before it.
local function look(id)
  source.tracker()
  if generation ~= source.generation() then
    sent, count, generation = {}, 0, source.generation()
  end
  local known = sent[id]
  local json, version, code = source.get_json(id, known and known.version)
  if json then
    known = answer_of(json, version)
    keep(id, known)
  elseif json == nil then
    return nil, version, code
  end
  return known
end

-- nginx compares the ETag with If-None-Match by itself, and turns a 200 whose version the
-- client has into a 304.
local function send(answer)
  if not answer.finished then ngx.header["Retry-After"] = problem.RETRY_AFTER end
  ngx.header["ETag"] = answer.etag
  problem.send("application/json", answer.json, answer.length)
end

---Answers with the job.
---@param json string
---@param version integer
function jobs.send(json, version) send(answer_of(json, version)) end

-- ------------------------------------------------------------------ at once, or later

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
  if not watched.json then return problem.refused("the job cannot be read", watched.code) end
  jobs.send(watched.json, watched.version --[[@as integer]])
end

-- How long the client would wait for a change, if at all; nil and a complaint. Most do not
-- say: of their arguments no table of our own is made.
local function patience(headers)
  local given, trouble = request.given()
  if not (given.wait or trouble or rawget(headers, "prefer")) then return nil end
  local arguments, complaint = request.arguments()
  if not arguments then return nil, complaint end
  return request.wait(arguments)
end

---GET jobs/<id>
---@param settings table
---@param id string
---@param headers table<string, string|string[]> the request's, by names in lower case
function jobs.get(settings, id, headers)
  local seconds, complaint = patience(headers)
  if complaint then return problem.answer(400, complaint) end
  local answer, message, code = look(id)
  if not answer then return problem.refused(message --[[@as string]], code) end
  if seconds and seconds > 0 and not answer.finished and request.may_have(answer.version) then
    return long_poll(settings, id, seconds, answer.version)
  end
  send(answer)
end

return jobs
