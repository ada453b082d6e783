-- GET events, on real nginx: all jobs as one stream of Server-Sent Events.

local cjson = require "cjson"
local child = require "child"
local owners = require "owners"
local process = require "process"
local random = require "random"
local status_server = require "status_server"
local store_file = require "store_file"
local wait_until = require "wait_until"
local wire = require "wire"
local JobTracker = require("job_tracker").JobTracker

local expect_problem = status_server.expect_problem

local path, jobs

local function start(more)
  more = more or {}
  more.setup, more.store = "events = true, " .. (more.setup or ""), more.store or path
  return status_server.start(more)
end

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

local function create(fields)
  local id = assert(jobs.create_job("textbook"))
  if fields then assert(jobs.update_job(id, fields)) end
  return id
end

local function version() return (jobs.version()) end

local function open(server, target, headers)
  local opened = wire.ask(server, target or "/events", headers)
  assert.equal(200, opened.status)
  assert.equal("text/event-stream", opened.headers["content-type"])
  assert.same({ retry = "1000" }, opened:next())
  return opened
end

local function expect_first(opened, name, from, now)
  assert.same({ event = name, id = tostring(from), data = ('{"version":%d}'):format(now) },
    opened:next())
end

local function expect_silence(opened)
  local message, why = opened:next(0.3)
  assert.is_nil(message)
  assert.equal("timeout", why)
end

-- What the stream says until this job is as it is now: the last JSON of each id.
local function read_until_has(opened, id, states)
  states = states or {}
  local json = jobs.get_json(id)
  local last = opened:read_until(function(message)
    if message.event or not message.data then return false end
    states[cjson.decode(message.data).task_id] = message.data
    return message.data == json
  end)
  assert(last, "the stream does not say what " .. id .. " is now")
  return states, last
end

describe("GET events", function()
  it("says hello and then, from now on, how each job is", function()
    local server = start()
    local old = create { progress = 0.5 }
    local opened = open(server)
    expect_first(opened, "hello", version(), version())
    expect_silence(opened)
    local id = create()
    local states, last = read_until_has(opened, id)
    assert.equal(tostring(version()), last.id)
    assert.is_nil(states[old])
    assert(jobs.update_job(old, { status = "running" }))
    assert(jobs.update_job(id, { status = "completed" }))
    states = read_until_has(opened, id)
    assert.equal(jobs.get_json(old), states[old])
    assert(jobs.delete_job(old))
    expect_silence(opened)
  end)

  it("goes on after Last-Event-ID, or ?after, and misses nothing", function()
    local server = start()
    local known = create()
    local last = version()
    local ids = { create(), create(), create { status = "completed" } }
    for _, ask in ipairs({ function() return open(server, nil, { ["Last-Event-ID"] = last }) end,
      function() return open(server, "/events?after=" .. last) end }) do
      local opened = ask()
      expect_first(opened, "hello", last, version())
      local states = read_until_has(opened, ids[3])
      for _, id in ipairs(ids) do assert.equal(jobs.get_json(id), states[id]) end
      assert.is_nil(states[known])
    end
    local opened = open(server, "/events?after=0")
    assert.equal(jobs.get_json(known), read_until_has(opened, ids[3])[known])
  end)

  it("says reset to who comes from another store", function()
    local server = start()
    create()
    local opened = open(server, nil, { ["Last-Event-ID"] = tostring(version() + 1000) })
    expect_first(opened, "reset", version(), version())
    read_until_has(opened, create())
  end)

  it("refuses a Last-Event-ID that is none, and waits for a store", function()
    local server = start()
    local workers = server:workers()
    for _, last in ipairs({ "x", "-1", "1.5", ("9"):rep(16), ("9"):rep(400), "\255" }) do
      expect_problem(400, server:request("/events", "--header", "Last-Event-ID: " .. last))
    end
    assert.equal(200, server:request("/events", "--head").status)
    status_server.expect_unharmed(server, workers)
  end)

  it("answers 503 until there is a store, then begins", function()
    local later = store_file.path()
    assert(os.execute("chmod 711 '" .. later:match("^(.*)/") .. "'"))
    local server = start { store = later }
    local response = server:request("/events")
    expect_problem(503, response)
    assert.equal("1", response.headers["retry-after"])
    local tracker = assert(JobTracker.open(later, { mode = "0644" }))
    wait_until(function() return server:request("/events", "--max-time", "0.2").status == 200 end,
      "the store", 5)
    tracker.close()
  end)

  it("tells more changes than one batch holds", function()
    local server = start()
    local opened = open(server)
    opened:next()
    local last = version()
    local ids = {}
    for index = 1, 1300 do ids[index] = create() end
    for _, one in ipairs({ opened, open(server, "/events?after=" .. last) }) do
      local states = read_until_has(one, ids[1300])
      for _, id in ipairs(ids) do assert.equal(jobs.get_json(id), states[id]) end
    end
  end)

  it("skips nothing of what a client has missed, though a batch comes meanwhile", function()
    jobs.close()
    path = store_file.path()
    jobs = assert(JobTracker.open(path, { size = "64M" }))
    local large = ("x"):rep(30000) -- more at a time than sockets hold: nginx waits for the slow
    local ids = {}
    for index = 1, 1100 do ids[index] = create { meta = large } end
    local server = start { workers = 1 }
    local quick = open(server)
    quick:next()
    local slow = open(server, "/events?after=0")
    read_until_has(quick, create())
    local told = {}
    local last = slow:read_until(function(message)
      local id = message.data and message.data:match('^{"task_id":"([^"]+)"')
      if id then told[id] = true end
      return message.id == tostring(version())
    end)
    assert(last)
    for index, id in ipairs(ids) do assert.is_true(told[id], "job " .. index) end
  end)

  it("tells a death once, on a store that nginx may not write", function()
    local server = start()
    local ids, dead = { create(), create(), create() }, {}
    for index, id in ipairs(ids) do dead[index] = owners.start(jobs, id) end
    local opened = open(server)
    opened:next()
    local count = {}
    local function read(seconds)
      opened:read_until(function(message)
        local id = message.data and cjson.decode(message.data).task_id
        if id then count[id] = (count[id] or 0) + 1 end
        return false
      end, seconds)
    end
    local observer = assert(JobTracker.open(path, { readonly = true }))
    local kept = jobs
    jobs = observer -- who looks and may write would write them off
    for _, owner in ipairs(dead) do owner:kill_dead() end
    read(0.5)
    for _, id in ipairs(ids) do assert.equal(1, count[id]) end
    jobs = kept
    for _ = 1, 5 do
      child.run(function() -- changes without a look at the dead
        local writer = assert(JobTracker.open(path))
        assert(writer.create_job("other"))
      end)
      read(0.2)
    end
    for _, id in ipairs(ids) do assert.is_true(count[id] <= 2, count[id]) end -- again, written off
    observer.close()
  end)

  it("tells a death to a slow client that has missed the batch that told it", function()
    local server = start { workers = 1 } -- which may not write, and so write off
    local id, large = create(), create()
    local owner = owners.start(jobs, id)
    local slow, quick = open(server), open(server)
    local function is_end(message)
      return message.data and message.data:find('"error":"' .. owners.death_of(owner.pid), 1, true)
    end
    for _ = 1, 60 do -- nginx comes to wait for the slow one
      assert(jobs.update_job(large, { meta = ("x"):rep(200000) }))
      read_until_has(quick, large)
    end
    local observer = assert(JobTracker.open(path, { readonly = true }))
    local writing = jobs
    jobs = observer -- who looks and may write would write it off
    owner:kill_dead()
    assert(quick:read_until(is_end))
    child.run(function() assert(writing.create_job("other")) end) -- the batch after
    assert(quick:read_until(function(message)
      return message.data and message.data:find('"task_type":"other"', 1, true)
    end))
    assert(slow:read_until(is_end), "the death is not told")
    jobs = writing
    observer.close()
  end)

  it("goes on without a job that is damaged", function()
    local server = start()
    local workers = server:workers()
    local id, well = create(), create()
    local opened = open(server)
    opened:next()
    assert(jobs.update_job(id, { progress = 0.5 }))
    read_until_has(opened, id)
    store_file.damage_record(path, id)
    assert(jobs.update_job(well, { progress = 0.5 }))
    local states = read_until_has(opened, well)
    assert.is_nil(states[id])
    status_server.expect_unharmed(server, workers)
  end)

  it("tells a slow client the latest of each job", function()
    local server = start { workers = 1 }
    local ids = {}
    for index = 1, 20 do ids[index] = create() end
    local slow, quick = open(server), open(server)
    local filling, states = ("x"):rep(20000), {}
    for step = 1, 100 do
      for _, id in ipairs(ids) do
        assert(jobs.update_job(id, { status = "running", progress = step / 100, meta = filling }))
      end
      if step % 5 == 0 then read_until_has(quick, ids[20], states) end
    end
    assert(jobs.update_job(ids[20], { status = "completed" }))
    local seen = read_until_has(slow, ids[20])
    for _, id in ipairs(ids) do
      assert.equal(jobs.get_json(id), seen[id])
    end
  end)

  it("begins anew when another store takes the place of its own", function()
    assert(os.execute("chmod 711 '" .. path:match("^(.*)/") .. "'"))
    assert(os.execute("chmod 644 '" .. path .. "'"))
    local server = start()
    local workers = server:workers()
    for _ = 1, 50 do create() end -- its version is greater than the other's will be
    local opened = open(server)
    opened:next()
    assert(os.remove(path))
    jobs.close()
    jobs = assert(JobTracker.open(path, { size = "8M", mode = "0644" }))
    local id = create()
    local function is_reset(message) return message.event == "reset" end
    local reset = assert(opened:read_until(is_reset, 5))
    assert.equal(("%d"):format(version()), reset.id)
    assert(jobs.update_job(id, { progress = 0.5 }))
    read_until_has(opened, id)
    assert.equal(200, server:request("/jobs/" .. id).status)
    status_server.expect_unharmed(server, workers)
  end)

  it("has told each job's last state to a client that comes and goes as it likes", function()
    local seed = 7
    local server = start()
    local ids = {}
    for index = 1, 30 do ids[index] = create() end
    local writer = child.start(function()
      local mine, chance = assert(JobTracker.open(path)), random.new(seed)
      local until_then = process.now() + 6
      while process.now() < until_then do
        assert(mine.update_job(chance:pick(ids), { status = "running",
          current_step = tostring(chance:whole(1, 1000000)) }))
        if chance:chance(1, 10) then process.sleep(0.01) end
      end
      for _, id in ipairs(ids) do assert(mine.update_job(id, { status = "completed" })) end
    end)
    local chance, states, last, visits = random.new(seed + 1), {}, nil, 0
    local function visit(seconds)
      local opened = open(server, nil, last and { ["Last-Event-ID"] = last })
      visits = visits + 1
      opened:read_until(function(message)
        last = message.id or last
        assert.not_equal("reset", message.event)
        if message.data and not message.event then
          local job = cjson.decode(message.data)
          local before = states[job.task_id]
          assert.is_true(not before or cjson.decode(before).version <= job.version)
          states[job.task_id] = message.data
        end
        return false
      end, seconds)
      opened:close()
    end
    local ends = process.now() + 6.5
    while process.now() < ends do
      visit(chance:whole(0, 200) / 1000)
      if chance:chance(1, 2) then process.sleep(chance:whole(0, 100) / 1000) end
    end
    writer:finish()
    visit(0.5)
    assert.is_true(visits > 20, visits)
    for _, id in ipairs(ids) do assert.equal(jobs.get_json(id), states[id], "seed " .. seed) end
  end)
end)
