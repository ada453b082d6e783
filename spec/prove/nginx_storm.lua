-- A storm around nginx: workers killed and configurations reloaded, while clients read jobs
-- and follow their streams, and others write them: Lua processes, killed too, and the
-- workers themselves, on request. Prints rows for the table of spec/prove/run; ends badly at
-- the first violation.
--
--   lua spec/prove/nginx_storm.lua KILLS
--
-- JT_TEST_SEED in the environment: of the random numbers.

local cjson = require "cjson"
local nginx_server = require "nginx_server"
local players = require "players"
local process = require "process"
local random = require "random"
local status_server = require "status_server"
local store_file = require "store_file"
local wire = require "wire"

local SILENCE = 20 -- seconds in which a client must have had an answer
local kills_wanted = assert(tonumber(arg and arg[1]), "usage: nginx_storm.lua KILLS")
local numbers = random.new(1 + (tonumber(os.getenv("JT_TEST_SEED")) or 20261123) % 2147483645)

local path = store_file.path()
local keeper = players.open(path)
local server
local local_writers, served_writers, all_writers = {}, {}, {}
local pids, bodies, tallies = {}, {}, {}

-- ------------------------------------------------------------------------- nginx

-- A worker that updates a job itself: POST /write/<id>/<count>.
local INIT = [[
  package.path = package.path .. ";%s/spec/support/?.lua"
  local counted_job = require "counted_job"
  local jobs = assert(require("job_tracker").JobTracker.open(%q))
  function write_counted()
    local id, count = ngx.var.uri:match("^/write/([^/]+)/(%%d+)$")
    assert(jobs.update_job(id, counted_job.fields_of(tonumber(count))))
    ngx.say("written")
  end
]]

local function start_nginx()
  server = status_server.start({ store = path, setup = "events = true",
    init = INIT:format(nginx_server.root, path), main = "worker_shutdown_timeout 2s;",
    server = "location /write/ { content_by_lua_block { write_counted() } }" })
end

-- The body of a whole answer, nil where there was none: its worker was killed, or it was
-- shut down by a reload.
local function ask(method, target)
  local connection = wire.connect(server)
  connection:send(("%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n"
    .. "Connection: close\r\n\r\n"):format(method, target))
  local body
  if connection:read_head(SILENCE) then
    body = connection:read_body(SILENCE)
    local length = tonumber(connection.headers["content-length"])
    local whole = length == nil and connection.ended == "end" or #body == length
    assert(not whole or connection.status == 200, connection.status)
    body = whole and body or nil
  end
  connection:close()
  return body
end

local function decoded(text)
  local job = cjson.decode(text)
  for name, value in pairs(job) do
    if value == cjson.null then job[name] = nil end
  end
  return job
end

-- ----------------------------------------------------------------------- clients

---Calls 'try' for ever; it returns how many times it has succeeded. It must, now and then.
local function insist(try, tally)
  local last = process.now()
  while true do
    local done = try()
    if done > 0 then
      last = process.now()
      tally(done)
    end
    assert(process.now() - last < SILENCE, "no answer for too long")
  end
end

local function get_job(id)
  local body = ask("GET", "/jobs/" .. id)
  return body and decoded(body)
end

local function read_on(tally)
  local seen, mine = {}, random.new(process.getpid())
  insist(function()
    return players.look(mine:pick(all_writers), seen, get_job) and 1 or 0
  end, tally)
end

-- Follows one stream, to its end at most. Another worker may have looked a little earlier
-- than the one before: within a stream a job does not go back.
local function follow_one(writer)
  local connection, count, seen = wire.connect(server), 0, {}
  connection:send(("GET /jobs/%s/events HTTP/1.1\r\nHost: localhost\r\n\r\n"):format(writer.id))
  if connection:read_head(SILENCE) then
    assert(connection.status == 200, connection.status)
    local message = connection:next(SILENCE)
    while message and count < 100 do
      if message.data and message.id then
        players.look(writer, seen, function() return decoded(message.data) end, true)
        count = count + 1
      end
      message = connection:next(SILENCE)
    end
  end
  connection:close()
  return count
end

local function follow_on(tally)
  local mine = random.new(process.getpid())
  insist(function() return follow_one(mine:pick(all_writers)) end, tally)
end

local function write_by_nginx(writer)
  local function update(count)
    return ask("POST", ("/write/%s/%d"):format(writer.id, count)) ~= nil
  end
  players.write_counts(writer, update)
end

-- ------------------------------------------------------------------------ the storm

local function add(body, victim)
  local number = #bodies + 1
  local file = ("%s.tally.%d"):format(path, number)
  tallies[number] = file
  bodies[number] = { run = function() body(players.tally(file)) end, victim = victim }
end

local function spawn(number) pids[number] = assert(process.fork(bodies[number].run)) end

local function set_out()
  for number = 1, 2 do
    local ours = players.writer(keeper, path, number)
    local theirs = players.writer(keeper, path, 2 + number)
    local_writers[number], served_writers[number] = ours, theirs
    all_writers[#all_writers + 1], all_writers[#all_writers + 2] = ours, theirs
    add(function() players.write_on(ours) end, true)
    add(function() write_by_nginx(theirs) end)
    add(read_on)
  end
  add(follow_on)
  for number in ipairs(bodies) do spawn(number) end
end

local function check_alive()
  for number, pid in ipairs(pids) do
    local how, code = process.wait(pid, 0)
    assert(how == "timeout", ("player %d ended: %s %s"):format(number, how, tostring(code)))
  end
end

local function kill_writer()
  local number = numbers:whole(1, #bodies)
  if not bodies[number].victim then return 0 end
  assert(process.kill(pids[number], "KILL"))
  process.wait(pids[number])
  spawn(number)
  return 1
end

local function storm()
  local kills, reloads, others = 0, 0, 0
  while kills < kills_wanted do
    process.sleep(numbers:whole(0, 20000) / 1e6)
    check_alive()
    others = others + kill_writer()
    if numbers:chance(1, 6) then
      server:reload()
      reloads = reloads + 1
    else
      server:kill_worker(numbers:pick(server:workers()))
      kills = kills + 1
    end
  end
  return kills, reloads, others
end

local function end_all()
  for number in pairs(pids) do
    process.kill(pids[number], "KILL")
    process.wait(pids[number])
    pids[number] = nil
  end
end

local function check_log()
  local log = server:log():gsub("exited on signal 9", "")
  for _, word in ipairs({ "exited on signal", "[error]", "[emerg]", "[crit]" }) do
    local at = log:find(word, 1, true)
    assert(not at, at and log:sub(math.max(1, at - 200), at + 800))
  end
end

local function sum_of_tallies()
  local sum = 0
  for _, file in ipairs(tallies) do
    sum = sum + (store_file.exists(file) and tonumber(store_file.read(file)) or 0)
  end
  return sum
end

local function run()
  start_nginx()
  set_out()
  local kills, reloads, others = storm()
  check_alive()
  end_all()
  check_log()
  server:stop()
  keeper.close()
  local by_processes, by_workers = players.updates(local_writers), players.updates(served_writers)
  players.check_end(path, all_writers, {})
  players.report(players.KILLED, "storm around nginx: workers killed", kills, 0)
  players.report(players.KILLED, "storm around nginx: reloads", reloads, 0)
  players.report(players.KILLED, "storm around nginx: writers killed", others, 0)
  players.report(players.WHOLE, "storm around nginx: answers and messages", sum_of_tallies(), 0)
  players.report(players.KEPT, "storm around nginx: updates by processes", by_processes, 0)
  players.report(players.KEPT, "storm around nginx: updates by workers", by_workers, 0)
end

local ok, trouble = xpcall(run, debug.traceback)
end_all()
if not ok and server then io.stderr:write(server:log(), "\n") end
nginx_server.stop_all()
store_file.clean()
if not ok then
  io.stderr:write(trouble, "\n")
  os.exit(1)
end
