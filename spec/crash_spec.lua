-- kill -9 and SIGSTOP in the middle of storms of updates: what a call returned
-- is there, no job is torn, and nobody else is stopped.

local child = require "child"
local counted_job = require "counted_job"
local process = require "process"
local random = require "random"
local store_file = require "store_file"
local wait_until = require "wait_until"
local JobTracker = require("job_tracker").JobTracker

local fields_of, count_of = counted_job.fields_of, counted_job.count_of

local SEED = 9
local KILLS = 60

after_each(child.end_all)
after_each(function() JobTracker.clear_jobs() end)
after_each(store_file.clean)

---A file in which a process notes what has returned, outlasting its death.
local function note_taker(path)
  local file = assert(io.open(path, "wb"))
  file:setvbuf("no")
  return function(text)
    file:seek("set", 0)
    file:write(text)
  end
end

local function noted_count(path)
  return store_file.exists(path) and tonumber(store_file.read(path)) or 0
end

---Updates the job for ever, noting each update that returned.
local function storm(tracker, id, notes)
  return child.start(function()
    local note, count = note_taker(notes), 0
    while true do
      count = count + 1
      assert(tracker.update_job(id, fields_of(count)))
      note(("%12d"):format(count))
    end
  end)
end

---Updates the job until 'stop' is completed.
local function steady_writer(tracker, id, stop)
  return child.start(function()
    local count = 0
    while tracker.get_job(stop).status ~= "completed" do
      count = count + 1
      assert(tracker.update_job(id, fields_of(count)))
    end
  end)
end

---Looks at every job until 'stop' is completed.
local function steady_reader(tracker, stop)
  return child.start(function()
    while tracker.get_job(stop).status ~= "completed" do
      for _, job in ipairs(assert(tracker.list_jobs({ task_type = "storm" }))) do
        count_of(job)
      end
    end
  end)
end

local function expect_others_go_on(tracker, steady_id)
  local before = count_of(tracker.get_job(steady_id))
  wait_until(function() return count_of(tracker.get_job(steady_id)) > before end,
    "the other writer to go on")
end

---Kills one writer in the middle of its storm and looks at its job.
local function kill_one(tracker, numbers, notes)
  local id = assert(tracker.create_job("storm"))
  local victim = storm(tracker, id, notes)
  wait_until(function() return noted_count(notes) > 0 end, "the storm")
  process.sleep(numbers:whole(0, 3000) / 1e6) -- to kill it anywhere
  victim:kill_dead()
  local noted, count = noted_count(notes), count_of(tracker.get_job(id))
  assert(count == noted or count == noted + 1,
    "returned: " .. noted .. ", in the store: " .. count)
  assert(tracker.update_job(id, { status = "failed" }))
  assert(tracker.delete_job(id))
end

---Kills writers while a reader and another writer go on, until at least one
---died inside the lock: one in a hundred does, most are making JSON texts.
local function kill_many(tracker)
  local numbers, folder = random.new(SEED), store_file.folder()
  local stop = assert(tracker.create_job("stop"))
  local steady_id = assert(tracker.create_job("storm"))
  local writer = steady_writer(tracker, steady_id, stop)
  local reader = steady_reader(tracker, stop)
  local recoveries, kills = tracker.stats().recoveries, 0
  local deadline = process.now() + 90
  while kills < KILLS or tracker.stats().recoveries == recoveries do
    kills = kills + 1
    kill_one(tracker, numbers, folder .. "/notes." .. kills)
    expect_others_go_on(tracker, steady_id)
    assert(process.now() < deadline, kills .. " kills and none inside the lock")
  end
  assert(tracker.update_job(stop, { status = "completed" }))
  writer:finish()
  reader:finish()
end

local function expect_whole(tracker, capacity)
  local stats = tracker.stats()
  assert.equal(0, stats.damaged)
  tracker.clear_jobs()
  stats = tracker.stats()
  assert.equal(0, stats.bytes_used)
  assert.equal(0, stats.jobs_used)
  assert.equal(capacity, stats.bytes_available)
end

describe("a writer killed in a storm of updates", function()
  it("loses nothing that returned and tears nothing, in memory", function()
    JobTracker.clear_jobs()
    local capacity = JobTracker.stats().bytes_available
    kill_many(JobTracker)
    expect_whole(JobTracker, capacity)
  end)

  it("loses nothing that returned and tears nothing, on a file", function()
    local path = store_file.path()
    local tracker = assert(JobTracker.open(path, { size = "4M" }))
    local capacity = tracker.stats().bytes_available
    kill_many(tracker)
    expect_whole(tracker, capacity)
    tracker.close()
  end)

  it("leaves a file that opens whole when all its writers were killed at once", function()
    local numbers, folder = random.new(SEED + 1), store_file.folder()
    local path = folder .. "/jobs"
    for round = 1, 10 do
      local tracker = assert(JobTracker.open(path, { size = "4M" }))
      local victims, ids = {}, {}
      for number = 1, 3 do
        ids[number] = assert(tracker.create_job("storm"))
        victims[number] = storm(tracker, ids[number], folder .. "/notes." .. number .. "." .. round)
      end
      tracker.close()
      for number = 1, 3 do
        local notes = folder .. "/notes." .. number .. "." .. round
        wait_until(function() return noted_count(notes) > 0 end, "the storm")
      end
      process.sleep(numbers:whole(0, 3000) / 1e6)
      for _, victim in ipairs(victims) do victim:kill_dead() end
      tracker = assert(JobTracker.open(path))
      assert.equal(0, tracker.stats().damaged)
      for number, id in ipairs(ids) do
        local noted = noted_count(folder .. "/notes." .. number .. "." .. round)
        local count = count_of(tracker.get_job(id))
        assert.is_true(count == noted or count == noted + 1)
      end
      tracker.close()
    end
  end)
end)

describe("a writer killed while it creates and deletes", function()
  ---Creates jobs and deletes every other one, noting each call that returned.
  local function churn(tracker, notes)
    return child.start(function()
      local file = assert(io.open(notes, "wb"))
      file:setvbuf("no")
      local count, older = 0, nil
      while true do
        local id = assert(tracker.create_job("churn"))
        file:write("+", id, "\n")
        count = count + 1
        if count % 2 == 0 then
          assert(tracker.delete_job(older))
          file:write("-", older, "\n")
        end
        older = id
      end
    end)
  end

  local function noted_jobs(notes)
    local jobs = {}
    for sign, id in store_file.read(notes):gmatch("([+-])(%S+)\n") do
      jobs[id] = sign == "+" or nil
    end
    return jobs
  end

  local function differences(tracker, notes)
    local noted, found = noted_jobs(notes), 0
    for _, job in ipairs(tracker.list_jobs({ task_type = "churn" })) do
      if not noted[job.task_id] then found = found + 1 end
      noted[job.task_id] = nil
    end
    for _ in pairs(noted) do found = found + 1 end
    return found
  end

  it("leaves what its calls returned, but for the call that it died in", function()
    local numbers, folder = random.new(SEED + 2), store_file.folder()
    local tracker = assert(JobTracker.open(folder .. "/jobs", { size = "16M" }))
    local capacity = tracker.stats().bytes_available
    for kill = 1, 30 do
      local notes = folder .. "/notes." .. kill
      local victim = churn(tracker, notes)
      wait_until(function() return store_file.exists(notes) and #store_file.read(notes) > 0 end,
        "the storm")
      process.sleep(numbers:whole(0, 3000) / 1e6)
      victim:kill_dead()
      assert.is_true(differences(tracker, notes) <= 1)
      assert(tracker.create_job("next")) -- the next writer counts again
      assert.equal(#tracker.list_jobs(), tracker.stats().jobs_used)
      tracker.clear_jobs()
    end
    expect_whole(tracker, capacity)
    tracker.close()
  end)
end)

describe("a stopped process", function()
  local tracker, id

  before_each(function()
    tracker = assert(JobTracker.open(store_file.path(), { size = "32M" }))
    id = assert(tracker.create_job("storm"))
  end)

  after_each(function() tracker.close() end)

  ---Whether an update goes through; otherwise it must say busy, and soon. Tried
  ---in a child, because it might hang.
  local function update_passes()
    local busy = store_file.path()
    child.run(function()
      local result, _, code = tracker.update_job(id, { progress = 0.5 })
      assert(result or code == "busy", tostring(code))
      if not result then store_file.write(busy, "") end
    end, 5)
    return not store_file.exists(busy)
  end

  ---Stops a writer again and again until it is stopped inside the lock.
  local function stop_inside_the_lock(numbers)
    local other = assert(tracker.create_job("large"))
    local text = ("x"):rep(4000000)
    local victim = child.start(function()
      while true do assert(tracker.update_job(other, { error = text })) end
    end)
    wait_until(function() return tracker.get_job(other).error end, "the storm")
    for _ = 1, 200 do
      process.sleep(numbers:whole(0, 5000) / 1e6)
      victim:kill("STOP")
      if not update_passes() then return victim, other end
      victim:kill("CONT")
    end
    error("it was never stopped inside the lock")
  end

  it("makes changing calls say busy after about a second, and no call hang", function()
    local victim, other = stop_inside_the_lock(random.new(SEED + 3))
    local start = process.now()
    local result, message, code = tracker.create_job("more")
    local elapsed = process.now() - start
    assert.is_nil(result)
    assert.equal("string", type(message))
    assert.equal("busy", code)
    assert.is_true(elapsed > 0.5 and elapsed < 5, elapsed .. " s")
    start = process.now()
    assert.equal("storm", tracker.get_job(id).task_type)
    assert.equal(4000000, #tracker.get_job(other).error)
    assert.equal(2, #tracker.list_jobs())
    assert.is_truthy(tracker.get_json(id))
    assert.equal(2, tracker.stats().jobs_used)
    assert.equal("timeout", (select(3, tracker.wait_job(id, { timeout = 0.01 }))))
    assert.is_true(process.now() - start < 1)
    victim:kill("CONT")
    wait_until(function() return tracker.update_job(id, { progress = 0.75 }) end, "the lock")
    assert.equal(0.75, tracker.get_job(id).progress)
    victim:kill_dead()
  end)

  it("may be killed where it stands, and the next call goes through", function()
    local victim, other = stop_inside_the_lock(random.new(SEED + 4))
    local recoveries = tracker.stats().recoveries
    victim:kill_dead()
    assert.is_true(tracker.update_job(id, { progress = 0.75 }))
    assert.equal(recoveries + 1, tracker.stats().recoveries)
    assert.equal(4000000, #tracker.get_job(other).error)
  end)
end)
