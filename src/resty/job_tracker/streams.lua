-- streams: Server-Sent Events (the WHATWG HTML standard, 9.2), of one job and of all. A
-- stream sends what its watch has and waits; while its client is slow, nginx does not come
-- back from flush, and what changes meanwhile is sent as it is then: the latest, never a
-- queue.

local jobs = require "resty.job_tracker.jobs"
local problem = require "resty.job_tracker.problem"
local request = require "resty.job_tracker.request"
local watch = require "resty.job_tracker.watch"

local streams = {}

local HEARTBEAT = 15 -- seconds of silence after which a comment is sent
local RETRY_BUSY = 0.05 -- seconds
local RETRY = "retry: 1000\n\n" -- milliseconds after which a browser connects again

-- ----------------------------------------------------------------- the transport

-- The head at once: to HTTP/1.0, which an nginx in between speaks unless told otherwise,
-- ngx_lua would hold back the answer for its length, and refuse to flush.
local function begin()
  ngx.header["Content-Type"] = "text/event-stream"
  ngx.header["Cache-Control"] = "no-cache"
  ngx.header["X-Accel-Buffering"] = "no" -- for an nginx in between
  ngx.send_headers()
end

-- False: the client is gone.
local function send(text)
  local written = ngx.print(text)
  return written ~= nil and ngx.flush(true) ~= nil
end

-- JSON has no line breaks but in escapes, so it is one line of data.
local function message(version, json) return ("id: %d\ndata: %s\n\n"):format(version, json) end

local function event(name, version, data)
  return ("event: %s\nid: %d\ndata: %s\n\n"):format(name, version, data)
end

local function too_many(settings)
  if watch.users() < settings.max_streams then return false end
  problem.answer(429, "Too many streams are open already.")
  return true
end

-- ----------------------------------------------------------------------- one job

-- Sends the job until it is finished or deleted, or the client is gone. A job that cannot
-- be read any more is not deleted: its stream just ends. In another store the job may have
-- the same version and be another.
local function follow(watched, bell, version)
  local json = version == watched.version and watched.json
  local function is_new(self) return self.version ~= version or self.json ~= json end
  while not watch.ending() do
    if watched:wait(bell, HEARTBEAT, is_new) then
      json = watched.json
      if not json then
        return not watched.code and send(event("end", version, '{"reason":"deleted"}'))
      end
      version = watched.version
      local ended = jobs.is_finished(json)
      local text = message(version, json)
      if ended then text = text .. event("end", version, '{"reason":"finished"}') end
      if not send(text) or ended then return end
    elseif not watch.ending() and not send(":\n\n") then
      return
    end
  end
end

-- Where a client that connects again goes on; nil if it is new. False: it was answered.
local function last_event()
  local arguments, complaint = request.arguments()
  local last
  if arguments then last, complaint = request.last_event(arguments) end
  if not complaint then return last end
  problem.answer(400, complaint)
  return false
end

---GET jobs/<id>/events
---@param settings table
---@param id string
function streams.job(settings, id)
  local watched, trouble, code = watch.job(id)
  if not watched then return problem.refused(trouble --[[@as string]], code) end
  local last = last_event()
  if last == false then return end
  if last == watched.version and jobs.is_finished(watched.json) then
    ngx.status = 204 -- tells an EventSource not to come again
    return ngx.exit(204)
  end
  if ngx.req.get_method() == "HEAD" then return begin() end
  if too_many(settings) then return end
  watched:hold(function(bell)
    begin()
    if send(RETRY) then follow(watched, bell, last or 0) end
  end)
end

-- ---------------------------------------------------------------------- all jobs

-- Jobs as messages. A version beyond the one that is reached with them would let a client
-- that connects again skip others.
local function messages(changed, upto)
  local texts = {}
  for index, job in ipairs(changed) do
    texts[index] = message(math.min(job.version, upto), job:to_json())
  end
  return table.concat(texts)
end

-- The batch is made into text once, for all streams that follow it.
local function text_of(watched, changed, upto)
  if changed ~= watched.changes then return messages(changed, upto) end
  if watched.text_of ~= changed then
    watched.text_of, watched.text = changed, messages(changed, upto)
  end
  return watched.text
end

-- Sends what has come since 'after' and returns where the client is then; nil: it is gone,
-- or the store is of no use.
local function send_news(watched, after, changed, upto, code)
  if code == "busy" then -- soon it is not
    ngx.sleep(RETRY_BUSY)
    return after
  end
  if not changed then return nil end
  local text = text_of(watched, changed, upto)
  return (text == "" or send(text)) and upto or nil
end

local function announce(name, now, from)
  return event(name, from, ('{"version":%d}'):format(now))
end

-- Another store has taken the place of the one that the client knows: it begins anew.
local function start_over(watched)
  local now = watched.upto
  return send(announce("reset", now, now)) and now or nil
end

-- 'place': the store, the number of the batch and the version that the client has.
local function follow_all(watched, bell, place)
  local function is_new(self) return self.number ~= place.number or place.after < self.upto end
  while place.after and not watch.ending() do
    if watched:wait(bell, HEARTBEAT, is_new) then
      local number, store = watched.number, watched.store
      if not store then return end
      if store ~= place.store then
        place.after = start_over(watched)
      else
        place.after = send_news(watched, place.after, watched:since(place))
      end
      place.number, place.store = number, store
    elseif not watch.ending() and not send(":\n\n") then
      return
    end
  end
end

-- Where the stream begins: what is said first, and the version from which on the client is
-- told. One that has more than there is has it from another store.
local function opening(last, now)
  local name = last and last > now and "reset" or "hello"
  local from = name == "hello" and last or now
  return announce(name, now, from), from
end

---GET events
---@param settings table
function streams.all(settings)
  local last = last_event()
  if last == false then return end
  if ngx.req.get_method() == "HEAD" then return begin() end
  if too_many(settings) then return end
  local watched, now, state = watch.all()
  if not watched then return problem.refused(now --[[@as string]], state) end
  watched:hold(function(bell)
    local first, from = opening(last, now)
    local place = { store = watched.store, number = watched.number, after = from }
    begin()
    if not send(RETRY .. first) then return end
    if last then place.after = send_news(watched, from, watched:changed_since(from)) end
    follow_all(watched, bell, place)
  end)
end

return streams
