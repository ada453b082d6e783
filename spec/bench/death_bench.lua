-- Measures how long after a kill -9 a job's death is seen: by a process in wait_job and by
-- a stream of nginx, whose store is read-only. Prints samples for report.lua, milliseconds.
--
--   lua5.4 death_bench.lua KILLS      with spec/support on its paths, in the project's folder

local child = require "child"
local owners = require "owners"
local process = require "process"
local status_server = require "status_server"
local store_file = require "store_file"
local wait_until = require "wait_until"
local wire = require "wire"
local JobTracker = require("job_tracker").JobTracker

-- Each begins to look at the job, and returns a function that gives the time when its death
-- was seen.
local observers = {}

function observers.wait_job(jobs, id)
  local notes = store_file.path()
  local waiting = child.start(function()
    assert(jobs.wait_job(id).status == "failed")
    local seen_at = process.now()
    store_file.write(notes, ("%.6f"):format(seen_at))
  end)
  wait_until(function() return child.sleeps(waiting.pid) end, "a child to wait")
  return function()
    waiting:finish()
    return tonumber(store_file.read(notes))
  end
end

function observers.stream(_, id, server)
  local opened = wire.ask(server, "/jobs/" .. id .. "/events")
  for _ = 1, 2 do assert(opened:next()) end -- how long to wait before coming again; the job
  return function()
    assert(opened:next().data:find('"status":"failed"', 1, true))
    local seen_at = process.now()
    opened:close()
    return seen_at
  end
end

local function measure(jobs, server, kills)
  for _ = 1, kills do
    for _, name in ipairs { "wait_job", "stream" } do
      local id = assert(jobs.create_job("killed"))
      local owner = owners.start(jobs, id)
      local seen_at = observers[name](jobs, id, server)
      local killed_at = process.now()
      owner:kill("KILL")
      print(("sample\tdeath/%s/ours\t%.3f"):format(name, (seen_at() - killed_at) * 1000))
      owner:wait()
    end
  end
end

local path = store_file.path()
local jobs = assert(JobTracker.open(path, { size = "1M" }))
local measured, trouble = xpcall(function()
  measure(jobs, status_server.start { store = path }, tonumber(arg[1]))
end, debug.traceback)
status_server.stop_all()
child.end_all()
jobs.close()
store_file.clean()
if not measured then error(trouble, 0) end
