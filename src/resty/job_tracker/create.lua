-- create: the two requests that change something, POST jobs and POST jobs/<id>/cancel. What
-- a job does is the application's: on_create starts it and gives its id.
--
-- A client that repeats a POST because it has not seen the answer sends the same
-- Idempotency-Key (draft-ietf-httpapi-idempotency-key-header) and gets the same job. Keys
-- are kept in a shared dict, for all workers: while on_create runs, as a marker that
-- goes away by itself if the worker is killed in it, then with the job's id for a day.

local jobs = require "resty.job_tracker.jobs"
local problem = require "resty.job_tracker.problem"
local request = require "resty.job_tracker.request"
local source = require "resty.job_tracker.source"

local create = {}

create.DICT = "job_tracker"
local KEPT, UNDER_WAY = 24 * 60 * 60, 60 -- seconds
local REASON_MAX = 4096

local function send_accepted(id, settings)
  local json, version, code = source.get_json(id)
  if not json then return problem.refused(version --[[@as string]], code) end
  ngx.status = 202
  ngx.header["Location"] = settings.base .. "jobs/" .. id
  jobs.send(json, version --[[@as integer]])
end

-- The body, decoded and as it came; or nil alone where it was refused. Pages of other sites
-- can make a browser send a POST: what such a one can send without being asked is refused.
local function read(settings)
  if request.is_cross_site() then
    return problem.answer(403, "Pages of other sites may not ask for this.")
  end
  local json, body, status, complaint = request.json_body(settings.max_body)
  if body then return json, body end
  problem.answer(status --[[@as integer]], complaint --[[@as string]])
end

-- ------------------------------------------------------------------ creating

local function is_client_error(code)
  return type(code) == "number" and code >= 400 and code < 500 and code % 1 == 0
end

-- Whether the job is in the store that we answer from: on_create may be wrong about it.
local function is_there(id)
  local json, _, code = source.get_json(id)
  if json or code then return true end
  ngx.log(ngx.ERR, "job_tracker: on_create gave the id of no job that can be read")
  problem.answer(500, "The job could not be created; the server's error log says why.")
end

-- What on_create gave: answers, and returns the job's id if there is one.
local function judge(called, id, message, code)
  if not called then
    ngx.log(ngx.ERR, "job_tracker: on_create: ", id)
    problem.answer(500, "The job could not be created; the server's error log says why.")
  elseif type(id) == "string" then
    return is_there(id) and id
  elseif code == "busy" then
    problem.answer(429, "There is too much to do at this moment.")
  elseif code == "full" then
    problem.refused("no room", code)
  else
    if not message then
      ngx.log(ngx.WARN, "job_tracker: on_create returned neither a job's id nor a message, but ",
        type(id))
    end
    problem.answer(is_client_error(code) and code or 422,
      type(message) == "string" and message or "The job was refused.")
  end
  return nil
end

local function traced(raised) return debug.traceback(tostring(raised), 2) end

-- A client that leaves does not end it: the job may be there already, and be asked for
-- again by its key.
local function run_on_create(settings, json, args)
  ngx.on_abort(function() end)
  local asked = { json = json, args = args, method = "POST",
                  headers = ngx.req.get_headers() }
  return judge(xpcall(settings.on_create, traced, asked))
end

-- The key as it is kept: who sends it is part of it, so that nobody finds another's job.
local function key_of()
  local key = ngx.var.http_idempotency_key
  if not key then return nil end
  if #key > 255 or not key:find("^[\32-\126]+$") then return nil, true end
  return ngx.md5((ngx.var.http_authorization or "") .. "\n" .. key)
end

-- The first to come with the key creates the job; the others get it.
local function create_once(settings, json, args, body, key)
  local dict = ngx.shared[create.DICT]
  local print = ngx.md5((ngx.var.args or "") .. "\n" .. body) -- on_create gets both
  if not dict:add(key, print, UNDER_WAY) then
    local kept = dict:get(key) or print
    if kept:sub(1, #print) ~= print then
      return problem.answer(422, "This Idempotency-Key was sent with another body or query before.")
    elseif #kept == #print then
      return problem.answer(409, "The first request with this Idempotency-Key is under way.")
    end
    return send_accepted(kept:sub(#print + 1), settings)
  end
  local id = run_on_create(settings, json, args)
  if not id then return dict:delete(key) end
  dict:set(key, print .. id, KEPT)
  send_accepted(id, settings)
end

---POST jobs
---@param settings table
function create.job(settings)
  local json, body = read(settings)
  if not body then return end
  local args, complaint = request.arguments()
  if not args then return problem.answer(400, complaint --[[@as string]]) end
  local key, bad = key_of()
  if bad then
    return problem.answer(400, "Idempotency-Key must be 1 to 255 printable ASCII characters.")
  elseif key then
    return create_once(settings, json, args, body, key)
  end
  local id = run_on_create(settings, json, args)
  if id then send_accepted(id, settings) end
end

-- ---------------------------------------------------------------- cancelling

-- Whether the body is as it should be, and the reason in it.
local function reason_of(json)
  if json == nil then return true end
  local reason = type(json) == "table" and json.reason
  if reason == nil or reason == ngx.null then return true end
  return type(reason) == "string" and #reason <= REASON_MAX, reason
end

---POST jobs/<id>/cancel
---@param settings table
---@param id string
function create.cancel(settings, id)
  local json, body = read(settings)
  if not body then return end
  local good, reason = reason_of(json)
  if not good then
    return problem.answer(400, "The body must be an object; reason, a text of at most 4096 bytes.")
  end
  local tracker, trouble, state = source.tracker()
  if not tracker then return problem.refused(trouble --[[@as string]], state) end
  local done, message, code = tracker.cancel_job(id, reason)
  if code == "invalid_transition" then
    return problem.answer(409, "The job is finished; it can no longer be cancelled.")
  elseif not done then
    return problem.refused(message, code)
  end
  send_accepted(id, settings)
end

return create
