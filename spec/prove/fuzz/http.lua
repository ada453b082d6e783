-- Requests at random, built as requests are and then spoilt, against resty.job_tracker in a
-- real nginx; and the same while somebody writes rubbish into the store file that it reads.
-- Whatever comes, no worker ends, nothing is answered with 500, and nothing of the machine
-- is told. Prints the lines of spec/prove; 'run' beside this file calls it.
--
--   http.lua SECONDS SEED

local process = require "process"
local random = require "random"
local status_server = require "status_server"
local store_file = require "store_file"
local wire = require "wire"
local JobTracker = require("job_tracker").JobTracker

local seconds, seed = tonumber(arg[1]), tonumber(arg[2])
local chance = random.new(seed)
local path = store_file.path()
local jobs, server, ids

-- ------------------------------------------------------------------ parts of a request

local NUMBERS = { "0", "1", "-1", "007", "1.5", "9007199254740992", "9007199254740993",
  "18446744073709551616", "1e3", "0x10", "nan", "", " 1", ("9"):rep(400) }
local WORDS = { "", "*", "null", "true", "pending", "running", "completed", "failed", "corpus",
  "%00", "%ff%fe", "\255\254", "..", "%2e%2e", ("x"):rep(2000), "é", "a b", "'", '"', "\\", ";",
  "<script>", "%", "%zz", "+" }
local NAMES = { "status", "limit", "before", "cursor", "after", "wait", "task_type", "x", "" }
local METHODS = { "GET", "GET", "GET", "GET", "POST", "POST", "HEAD", "DELETE", "OPTIONS", "PUT",
  "PATCH", "get", "BREW" }
local HEADERS = { "Accept", "Last-Event-ID", "If-None-Match", "Prefer", "Content-Type", "Origin",
  "Sec-Fetch-Site", "Range", "Cookie", "Expect", "TE", "X-Forwarded-For", "Content-Length",
  "Transfer-Encoding", "Connection", "Host" }
local VALUES = { "text/html", "text/html;q=0.5,application/json;q=0.5", "*/*;q=0",
  "text/event-stream", "application/json", "application/json; charset=utf-8", '"1"', 'W/"1"',
  '"1", "2"', "wait=1", "wait=0.01", "respond-async, wait=10", "cross-site", "chunked", "gzip",
  "close", "keep-alive", "bytes=0-1", "100-continue" }

local function value()
  return chance:pick(chance:pick { NUMBERS, WORDS, VALUES })
end

local function job_id()
  local id = chance:pick(ids)
  if chance:chance(3, 4) then return id end
  local at = chance:whole(1, #id)
  return id:sub(1, at - 1) .. chance:pick(WORDS) .. id:sub(at + chance:whole(0, 2))
end

local function target()
  local paths = { "/jobs", "/jobs/" .. job_id(), "/jobs/" .. job_id() .. "/events", "/events",
    "/jobs/" .. job_id() .. "/cancel", "/jobs/" .. value():gsub("%s", ""), "/", "//jobs", "/jobs/" }
  local arguments = {}
  for index = 1, chance:whole(0, 3) do
    arguments[index] = chance:pick(NAMES) .. chance:pick { "=", "=", "=", "" } .. value()
  end
  local query = #arguments > 0 and "?" .. table.concat(arguments, chance:pick { "&", "&", ";" }) or ""
  return chance:pick(paths) .. query
end

local json

local function json_of(depth)
  local parts = {}
  for index = 1, chance:whole(0, 3) do parts[index] = json(depth + 1) end
  if chance:chance(1, 2) then return "[" .. table.concat(parts, ",") .. "]" end
  for index, part in ipairs(parts) do
    parts[index] = ('"%s":%s'):format(chance:pick { "reason", "task_type", "x", "", "\\u0000" }, part)
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

function json(depth)
  if depth < 4 and chance:chance(1, 2) then return json_of(depth) end
  return chance:pick { "null", "true", "1", "-0.0", "1e308", "1e999", '"late"', '"\\ud800"', '"\255"',
    '"' .. ("y"):rep(chance:whole(0, 5000)) .. '"', "", "{", "nan", "[[[[" }
end

local function head_and_body()
  local lines = { ("%s %s HTTP/1.1"):format(chance:pick(METHODS), target()) }
  if chance:chance(19, 20) then lines[2] = "Host: localhost" end
  for _ = 1, chance:whole(0, 4) do
    lines[#lines + 1] = chance:pick(HEADERS) .. ": " .. value()
  end
  if chance:chance(2, 3) then return lines, "" end
  local body = json(0)
  lines[#lines + 1] = "Content-Type: application/json"
  lines[#lines + 1] = "Content-Length: " .. (chance:chance(9, 10) and #body or #body + chance:whole(-2, 2))
  return lines, body
end

-- Some bytes replaced, or gone.
local function spoil(bytes)
  for _ = 1, chance:whole(1, 4) do
    local at = chance:whole(1, #bytes)
    bytes = bytes:sub(1, at - 1) .. chance:bytes(chance:whole(0, 3)) .. bytes:sub(at + chance:whole(0, 3))
  end
  return bytes
end

local function request()
  local lines, body = head_and_body()
  lines[#lines + 1] = "Connection: close"
  local bytes = table.concat(lines, "\r\n") .. "\r\n\r\n" .. body
  return chance:chance(1, 5) and spoil(bytes) or bytes
end

-- ------------------------------------------------------------------------------- asking

local LEAKS = { ".lua:", "traceback", path, "/usr/" }

-- What is wrong with an answer, if anything.
local function fault(text, allowed)
  for status in text:gmatch("HTTP/1%.%d (%d%d%d) ") do
    status = tonumber(status)
    if status >= 500 and not allowed[status] then return "status " .. status end
  end
  for _, leak in ipairs(LEAKS) do
    if text:find(leak, 1, true) then return "it tells " .. leak end
  end
end

-- Twenty clients at a time: streams and long polls stay open, and are left.
local function ask_some(allowed)
  local open, answers, faults = {}, 0, 0
  for index = 1, 20 do
    local bytes = request()
    open[index] = { connection = wire.connect(server), bytes = bytes }
    open[index].connection:send(bytes)
  end
  for _, one in ipairs(open) do
    local text = one.connection:read_raw(0.02)
    local trouble = fault(text, allowed)
    if text ~= "" then answers = answers + 1 end
    if trouble then
      faults = faults + 1
      io.stderr:write(("%s (seed %d) after\n%q\n"):format(trouble, seed, one.bytes))
    end
    one.connection:close()
  end
  return answers, faults
end

-- ------------------------------------------------------------------------------- the file

local FIRST_CELL = 24576 -- before it: the header, and the locks, which writers trust

-- Overwrites some bytes with others, never the file's length.
local function damage(file, size)
  for _ = 1, 20 do
    file:seek("set", chance:whole(FIRST_CELL, size - 64))
    file:write(chance:pick { ("\0"):rep(64), ("\255"):rep(64), chance:bytes(chance:whole(1, 64)) })
  end
  file:flush()
end

local function fill()
  ids = {}
  for index = 1, 12 do
    ids[index] = assert(jobs.create_job("fuzz"))
    local status = chance:pick { "running", "completed", "failed" }
    if index > 3 then
      jobs.update_job(ids[index], { status = status, result = { index, ("r"):rep(index * 50) } })
    end
  end
end

local function begin()
  jobs = assert(JobTracker.open(path, { size = "256K", max_jobs = 64 }))
  fill()
  server = status_server.start { store = path, setup = [[
    list = true, events = true, cancel = true, page = true, max_body = 1000,
    on_create = function()
      local tracker = require("resty.job_tracker").tracker()
      local id, message, code = tracker.create_job("made")
      if id then tracker.update_job(id, { status = "completed" }) end -- it may make room
      return id, message, code
    end]] }
end

-- ------------------------------------------------------------------------------ the parts

local violations = 0

local function report(promise, method, cases, faults)
  violations = violations + faults
  print(table.concat({ "prove", promise, method, cases, faults }, "\t"))
end

-- What nginx's log says that is no client's fault.
local function complaint(strict)
  for line in server:log():gmatch("[^\n]+") do
    local ours = not line:find("client sent", 1, true) and not line:find("client intended", 1, true)
    local grave = strict and line:find("%[error%]") or line:find("%[alert%]") or line:find("%[crit%]")
    if grave and ours then return line end
  end
end

-- Asks until the time is over; 'meanwhile' is called in between.
local function part(promise, method, allowed, meanwhile)
  local workers = server:workers()
  local cases, faults, deadline = 0, 0, process.now() + seconds
  repeat
    local answers, wrong = ask_some(allowed)
    cases, faults = cases + answers, faults + wrong
    meanwhile()
  until process.now() > deadline
  local trouble = complaint(not allowed[500])
  if table.concat(workers, " ") ~= table.concat(server:workers(), " ") then
    trouble = "a worker has ended: " .. server:log()
  end
  if trouble then io.stderr:write(trouble, "\n") end
  report(promise, method, cases, faults + ((trouble or cases == 0) and 1 or 0))
end

local function all()
  begin()
  part("no request harms nginx", "structured random requests",
    { [501] = true, [505] = true }, function() end)
  local file = assert(io.open(path, "r+b"))
  local size = file:seek("end")
  part("a store file overwritten while it is served ends no worker",
    "random requests, random damage", { [500] = true, [501] = true, [503] = true, [505] = true },
    function() damage(file, size) end)
  file:close()
end

local done, trouble = xpcall(all, debug.traceback)
wire.close_all()
status_server.stop_all()
if jobs then jobs.close() end
store_file.clean()
if not done then
  io.stderr:write(tostring(trouble), "\n")
  os.exit(2)
end
os.exit(violations == 0 and 0 or 1)
