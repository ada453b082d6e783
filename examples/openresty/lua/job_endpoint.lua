--- `GET /jobs/<id>`: answers an HTTP request with a job's JSON as the store has it,
--- and errors as problem documents (RFC 9457). Knows HTTP; must not know what the jobs
--- do, nor where the store is.

local job_endpoint = {}

---When to ask again about a job that is not finished, or a store that is not there,
---in seconds.
local RETRY_AFTER = 1

local TITLES = {
  [400] = "Bad Request",
  [403] = "Forbidden",
  [404] = "Not Found",
  [405] = "Method Not Allowed",
  [413] = "Content Too Large",
  [414] = "URI Too Long",
  [500] = "Internal Server Error",
  [501] = "Not Implemented",
  [503] = "Service Unavailable",
  [505] = "HTTP Version Not Supported",
}

---A job's JSON has its fields in a fixed order, and ids need no escapes: the first
---bytes say whether it is finished, and nothing has to be decoded.
local STATUS = '^{"task_id":"[^"]*","task_type":"[^"]*","status":"(%l+)"'
local FINISHED = { completed = true, failed = true }

---The texts are our own, plain words: they need no escapes.
local PROBLEM = '{"type":"about:blank","title":"%s","status":%d,"detail":"%s"}\n'

local function send(content_type, body)
  ngx.header["Content-Type"] = content_type
  ngx.header["Content-Length"] = #body -- so that HEAD is answered with it, too
  ngx.header["Cache-Control"] = "no-cache" -- may be kept, but asked about before use
  ngx.print(body)
end

---Answers with a problem document.
---@param status integer
---@param detail string a sentence for whoever reads the client's log; nothing about
---this machine
function job_endpoint.problem(status, detail)
  ngx.status = status
  send("application/problem+json",
    PROBLEM:format(TITLES[status] or "Error", status, detail))
end

---For nginx's `error_page`: what nginx itself refuses looks like what we refuse.
function job_endpoint.problem_page()
  local status = ngx.status
  if status == 405 then ngx.header["Allow"] = "GET, HEAD" end
  job_endpoint.problem(status, status < 500 and "The request cannot be answered."
    or "The server failed to answer this request; its error log says why.")
end

local function unavailable(detail)
  ngx.header["Retry-After"] = RETRY_AFTER
  job_endpoint.problem(503, detail)
end

local function no_job(message, code)
  if code == nil then
    job_endpoint.problem(404, "There is no such job; it may have been removed since.")
  elseif code == "busy" then
    unavailable("The job changes too fast to be read at this moment.")
  elseif code == "unavailable" then
    unavailable("The job store cannot be read yet.")
  else
    ngx.log(ngx.ERR, "job store: ", message)
    job_endpoint.problem(500, "The job cannot be read.")
  end
end

---Answers one request. ETag is the job's version: nginx compares it with If-None-Match
---by itself, and turns a 200 whose version the client has into a 304.
---@param jobs { get_json: fun(id: string): string?, integer|string?, string? } a tracker
---@param id string
function job_endpoint.serve(jobs, id)
  local method = ngx.req.get_method()
  if method ~= "GET" and method ~= "HEAD" then
    ngx.header["Allow"] = "GET, HEAD"
    return job_endpoint.problem(405, "A job can only be looked at here, by GET or HEAD.")
  end
  local json, version, code = jobs.get_json(id)
  if not json then return no_job(version, code) end
  -- These two guard against changing what somebody else has changed; nothing is changed
  -- here. And nginx would turn to its 412 in the middle of our print, which crashes a
  -- worker in some versions of ngx_lua, Debian 12's among them (its issue 2397).
  ngx.req.clear_header("If-Match")
  ngx.req.clear_header("If-Unmodified-Since")
  if not FINISHED[json:match(STATUS)] then ngx.header["Retry-After"] = RETRY_AFTER end
  ngx.header["ETag"] = ('"%d"'):format(version)
  send("application/json", json)
end

return job_endpoint
