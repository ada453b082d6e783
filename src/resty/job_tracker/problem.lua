-- problem: errors as problem documents (RFC 9457), and what all answers share. Knows
-- HTTP and nginx, no jobs. The details are sentences of ours: nothing of this machine,
-- and nothing that the client has sent.

local problem = {}

---Seconds after which it is worth asking again; a text, as headers are.
problem.RETRY_AFTER = "1"

local TITLES = {
  [400] = "Bad Request", [401] = "Unauthorized", [403] = "Forbidden", [404] = "Not Found",
  [405] = "Method Not Allowed", [406] = "Not Acceptable", [408] = "Request Timeout",
  [409] = "Conflict", [411] = "Length Required", [413] = "Content Too Large",
  [414] = "URI Too Long", [415] = "Unsupported Media Type", [422] = "Unprocessable Content",
  [429] = "Too Many Requests", [431] = "Request Header Fields Too Large",
  [500] = "Internal Server Error", [501] = "Not Implemented", [503] = "Service Unavailable",
  [505] = "HTTP Version Not Supported",
}

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function escape(character)
  return ESCAPES[character] or ("\\u%04x"):format(character:byte())
end

---Sends a whole answer.
---@param content_type string
---@param body string
---@param length string? of the body, if it is known as a text already
function problem.send(content_type, body, length)
  ngx.header["Content-Type"] = content_type
  ngx.header["Content-Length"] = length or #body -- so that HEAD is answered with it, too
  ngx.header["Cache-Control"] = "no-cache" -- may be kept, but asked about before use
  ngx.print(body)
end

---Answers with a problem document.
---@param status integer
---@param detail string a sentence for people
function problem.answer(status, detail)
  ngx.status = status
  if status == 429 or status == 503 then ngx.header["Retry-After"] = problem.RETRY_AFTER end
  problem.send("application/problem+json",
    ('{"type":"about:blank","title":"%s","status":%d,"detail":"%s"}\n'):format(
      TITLES[status] or "Error", status, detail:gsub('[%c"\\\127]', escape)))
end

function problem.not_found()
  problem.answer(404, "There is no such job; it may have been removed since.")
end

function problem.nothing() problem.answer(404, "There is nothing at this address.") end

---Says no to a method.
---@param allowed string the ones there are, "GET, HEAD"
function problem.method(allowed)
  ngx.header["Allow"] = allowed
  problem.answer(405, ("This can only be asked for by %s."):format(allowed))
end

---What a tracker has refused, for the client; the log gets what is not the client's fault.
---@param message string
---@param code string?
function problem.refused(message, code)
  if code == nil or code == "not_found" then
    problem.not_found()
  elseif code == "busy" then
    problem.answer(503, "The job store is busy at this moment.")
  elseif code == "absent" then
    problem.answer(503, "There is no job store yet.") -- page.html knows this sentence
  elseif code == "unreadable" then
    problem.answer(503, "The job store cannot be opened; the server's error log says why.")
  elseif code == "full" then
    problem.answer(503, "There is no room for another job.")
  else
    ngx.log(ngx.ERR, "job_tracker: ", message)
    problem.answer(500, "The job store cannot be used.")
  end
end

---For nginx's `error_page`: what nginx itself refuses looks like what we refuse.
function problem.page()
  local status = ngx.status
  if status == 405 then ngx.header["Allow"] = "GET, HEAD" end
  problem.answer(status, status < 500 and "The request cannot be answered."
    or "The server failed to answer this request; its error log says why.")
end

return problem
