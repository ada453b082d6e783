-- Lua processes that write and read one store file, killed, stopped and continued at random.
-- Prints rows for the table of spec/prove/run; ends badly at the first violation.
--
--   lua spec/prove/storm.lua KILLS
--
-- JT_TEST_SEED in the environment: of the random numbers.

local players = require "players"
local process = require "process"
local random = require "random"
local store_file = require "store_file"

local WRITERS, READERS = 3, 2
local kills_wanted = assert(tonumber(arg and arg[1]), "usage: storm.lua KILLS")
local lua = _VERSION == "Lua 5.4" and "Lua 5.4" or "LuaJIT"
local numbers = random.new(1 + (tonumber(os.getenv("JT_TEST_SEED")) or 20261123) % 2147483645)

local path = store_file.path()
local keeper = players.open(path)
local writers, pids, bodies = {}, {}, {}
local seen, reads, stops = {}, 0, 0

local function spawn(number) pids[number] = assert(process.fork(bodies[number])) end

local function set_out()
  for number = 1, WRITERS do
    writers[number] = players.writer(keeper, path, number)
    bodies[number] = function() players.write_on(writers[number]) end
  end
  for number = WRITERS + 1, WRITERS + READERS do
    bodies[number] = function() players.read_on(path, writers) end
  end
  for number in ipairs(bodies) do spawn(number) end
end

local function check_alive(number)
  local how, code = process.wait(pids[number], 0)
  assert(how == "timeout", ("player %d ended by itself: %s %s"):format(number, how, tostring(code)))
end

local function kill(number)
  assert(process.kill(pids[number], "KILL"))
  process.wait(pids[number])
end

local function stop(number)
  assert(process.kill(pids[number], "STOP"))
  process.sleep(numbers:whole(0, 8000) / 1e6)
  assert(process.kill(pids[number], "CONT"))
  stops = stops + 1
end

-- Looks at every job while its writer is dead.
local function look_at_all()
  for _, writer in ipairs(writers) do
    assert(players.look(writer, seen, keeper.get_job))
    reads = reads + 1
  end
end

local function storm()
  local kills = 0
  while kills < kills_wanted do
    local number = numbers:whole(1, #bodies)
    process.sleep(numbers:whole(0, 3000) / 1e6)
    check_alive(number)
    if numbers:chance(1, 8) then
      stop(number)
    else
      kill(number)
      look_at_all()
      spawn(number)
      kills = kills + 1
    end
  end
  return kills
end

local function run()
  set_out()
  local kills = storm()
  for number in ipairs(bodies) do
    check_alive(number)
    kill(number)
  end
  keeper.close()
  local updates = players.updates(writers)
  players.check_end(path, writers, seen)
  local method = ("storm in %s: "):format(lua)
  players.report(players.KILLED, method .. "SIGKILL", kills, 0)
  players.report(players.KILLED, method .. "SIGSTOP, SIGCONT", stops, 0)
  players.report(players.WHOLE, method .. "reads, between returned and begun", reads, 0)
  players.report(players.KEPT, method .. "updates", updates, 0)
end

local ok, trouble = xpcall(run, debug.traceback)
store_file.clean()
if not ok then
  io.stderr:write(trouble, "\n")
  os.exit(1)
end
