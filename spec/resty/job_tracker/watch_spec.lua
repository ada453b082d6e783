-- A thousand who watch, and the poller behind them, on real nginx: all are told, and it
-- costs next to nothing while nothing happens. The times are printed; a benchmark asserts
-- them.

local child = require "child"
local nginx_server = require "nginx_server"
local process = require "process"
local socket = require "socket"
local status_server = require "status_server"
local store_file = require "store_file"
local wait_until = require "wait_until"
local wire = require "wire"
local JobTracker = require("job_tracker").JobTracker

local CLIENTS, EACH = 4, 250 -- processes, and the streams of one (select takes 1,024 at most)
local JOBS = 50

local path, jobs

before_each(function()
  path = store_file.path()
  jobs = assert(JobTracker.open(path, { size = "8M" }))
end)

after_each(function()
  wire.close_all()
  status_server.stop_all()
  child.end_all()
  jobs.close()
  store_file.clean()
end)

-- Seconds of a CPU that the process has used.
local function cpu_of(pid)
  return tonumber(store_file.read(("/proc/%d/schedstat"):format(pid)):match("^%d+")) / 1e9
end

local function cpu_of_all(server)
  local sum = 0
  for _, pid in ipairs(server:workers()) do sum = sum + cpu_of(pid) end
  return sum
end

-- In a child: opens its streams, each fourth of all jobs.
local function open_streams(server, ids)
  local opened, by_socket = {}, {}
  for index = 1, EACH do
    local target = index % 4 == 0 and "/events" or ("/jobs/%s/events"):format(ids[index % #ids + 1])
    local one = wire.ask(server, target)
    assert(one.status == 200, "not a stream: " .. target)
    one.all = target == "/events"
    opened[index], by_socket[one.socket] = one, one
  end
  return opened, by_socket
end

-- In a child: reads until every stream has been told its job's change, those of all jobs the
-- last job's, and returns how long after its update each message came.
local function read_delays(opened, by_socket)
  local delays, sockets, told = {}, {}, 0
  for index, one in ipairs(opened) do sockets[index] = one.socket end
  local deadline = process.now() + 40
  while told < #opened do
    assert(process.now() < deadline, told .. " streams of " .. #opened .. " told")
    for _, ready in ipairs((socket.select(sockets, nil, 1))) do
      local one = by_socket[ready]
      local message = one:next(0)
      while message do
        local step = message.data and message.data:match('"current_step":"([^"]*)"')
        local number, at = (step or ""):match("^(%d+) ([%d.]+)$")
        if at then
          delays[#delays + 1] = process.now() - tonumber(at)
          one.count = (one.count or 0) + 1
          if not one.all or tonumber(number) == JOBS then told = told + 1 end
        end
        message = one:next(0)
      end
      assert(not one.ended, "a stream has ended")
    end
  end
  for _, one in ipairs(opened) do assert(one.count == (one.all and JOBS or 1), one.count) end
  return delays
end

local function run_clients(server, ids, folder)
  local clients = {}
  for number = 1, CLIENTS do
    clients[number] = child.start(function()
      local opened, by_socket = open_streams(server, ids)
      store_file.write(folder .. "/ready." .. number, "")
      local delays = read_delays(opened, by_socket)
      store_file.write(folder .. "/delays." .. number, table.concat(delays, "\n"))
    end)
  end
  for number = 1, CLIENTS do
    wait_until(function() return store_file.exists(folder .. "/ready." .. number) end,
      "the clients", 30)
  end
  return clients
end

local function percentile(sorted, part) return sorted[math.ceil(#sorted * part)] * 1000 end

describe("a thousand streams", function()
  it("are all told each change, and cost next to nothing while there is none", function()
    local server = status_server.start { store = path, setup = "events = true",
      main = "worker_rlimit_nofile 4096;", events = "worker_connections 2048;" }
    local workers, folder, ids = server:workers(), store_file.folder(), {}
    for index = 1, JOBS do ids[index] = assert(jobs.create_job("crowd")) end
    local clients = run_clients(server, ids, folder)

    local before, began = cpu_of_all(server), process.now()
    process.sleep(5)
    local idle = (cpu_of_all(server) - before) / (process.now() - began) * 100
    for index, id in ipairs(ids) do
      assert(jobs.update_job(id, { status = "running",
        current_step = ("%d %.6f"):format(index, process.now()) }))
      process.sleep(0.07) -- so that each is a change of its own, at any time of the poller's
    end
    local delays = {}
    for number, client in ipairs(clients) do
      client:finish(60)
      for line in io.lines(folder .. "/delays." .. number) do
        delays[#delays + 1] = tonumber(line)
      end
    end
    table.sort(delays)
    io.write(("%d streams, %d messages: idle %.2f %% of a core; told after %.0f ms (p50), "
      .. "%.0f ms (p99), %.0f ms\n"):format(CLIENTS * EACH, #delays, idle, percentile(delays, 0.5),
      percentile(delays, 0.99), percentile(delays, 1)))
    assert.is_true(idle < 5, idle) -- of a machine that others use
    status_server.expect_unharmed(server, workers)
  end)
end)

describe("the poller", function()
  local MEMORY = [[location = /memory { content_by_lua_block {
    collectgarbage() collectgarbage()
    ngx.print(collectgarbage("count"))
  } }]]

  local function resident(server)
    return tonumber(store_file.read(("/proc/%d/status"):format(server:workers()[1])):match(
      "VmRSS:%s*(%d+)"))
  end

  it("takes no more memory the longer it runs, nor the more changes it tells", function()
    local server = status_server.start { store = path, setup = "events = true", workers = 1,
      server = MEMORY }
    local id = assert(jobs.create_job("textbook"))
    local opened = { wire.ask(server, "/events"), wire.ask(server, "/jobs/" .. id .. "/events") }
    local function go_on(seconds)
      local until_then = process.now() + seconds
      local step = 0
      while process.now() < until_then do
        step = step + 1
        assert(jobs.update_job(id, { current_step = tostring(step), meta = ("x"):rep(1000) }))
        for _, one in ipairs(opened) do
          assert(one:read_until(function(message) return message.data == jobs.get_json(id) end))
        end
      end
      return tonumber(server:request("/memory").body), resident(server)
    end
    go_on(3)
    local lua, all = go_on(1)
    local lua_later, all_later = go_on(10)
    assert.is_true(lua_later - lua < 50, lua_later - lua)
    assert.is_true(all_later - all < 600, all_later - all)
  end)

  it("goes on after an error in a look, says so once, and loses no change by it", function()
    -- Until it is mended, what a look needs raises, as it does when memory runs out.
    local server = status_server.start { store = path, setup = "events = true", workers = 1,
      server = [[
        location = /break { content_by_lua_block {
          local source, name = require "resty.job_tracker.source", ngx.var.arg_name
          package.loaded.mend = { name = name, value = source[name] }
          source[name] = function() error("broken " .. name, 0) end
        } }
        location = /mend { content_by_lua_block {
          local whole = require "mend"
          require("resty.job_tracker.source")[whole.name] = whole.value
        } }]] }
    local id = assert(jobs.create_job("textbook"))
    local one, all = wire.ask(server, "/jobs/" .. id .. "/events"), wire.ask(server, "/events")
    local function is_it(message) return message.data == jobs.get_json(id) end
    assert(one:read_until(is_it))
    for _ = 1, 2 do assert(all:next()) end
    for _, name in ipairs { "get_json", "tracker" } do
      assert.equal(200, server:request("/break?name=" .. name).status)
      assert(jobs.update_job(id, { current_step = name }))
      wait_until(function() return server:log():find("broken " .. name, 1, true) end, "the error")
      assert.is_nil((one:read_until(is_it, 0.3))) -- six looks
      assert.equal(200, server:request("/mend").status)
      assert(one:read_until(is_it), "the change is lost: " .. name)
      assert(all:read_until(is_it), "the change is lost: " .. name)
      assert.equal(1, (select(2, server:log():gsub("broken " .. name, ""))))
    end
  end)

  it("is started by who waits where nobody has started it", function()
    -- An init_worker that was forgotten, or a timer that nginx dropped for want of room.
    local server = nginx_server.start_with(1, function(port)
      return (status_server.text({ store = path, setup = "events = true", workers = 1 }, port):gsub(
        "init_worker_by_lua_block [^\n]*\n", ""))
    end)
    local id = assert(jobs.create_job("textbook"))
    for _, target in ipairs({ "/events", "/jobs/" .. id .. "/events" }) do
      local opened = wire.ask(server, target)
      opened:next()
      opened:next()
      assert(jobs.update_job(id, { current_step = target }))
      assert(opened:read_until(function(message) return message.data == jobs.get_json(id) end, 3))
    end
  end)
end)
