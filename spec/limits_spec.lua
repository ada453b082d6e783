-- Full stores: who makes room and who never does, what "full" means, and that
-- a full disk is an error and no crash.

local fresh = require "fresh"
local process = require "process"
local small_disk = require "small_disk"
local store_file = require "store_file"
local JobTracker = require("job_tracker").JobTracker

after_each(fresh.end_all)
after_each(store_file.clean)

local function expect_code(expected, result, message, code)
  assert.is_nil(result)
  assert.equal("string", type(message))
  assert.equal(expected, code)
  return message
end

---Changes the status, and lets a microsecond go by, which is what times of
---finishing are told apart by.
local function set_status(tracker, id, status)
  assert(tracker.update_job(id, { status = status }))
  local start = process.now()
  repeat until process.now() > start + 2e-6
end

local function create_as(tracker, status, count)
  local ids = {}
  for index = 1, count do
    ids[index] = assert(tracker.create_job(status))
    set_status(tracker, ids[index], status)
  end
  return ids
end

local function exists(tracker, id) return tracker.get_job(id) ~= nil end

---Expects the ids, oldest first, to be gone up to some point and there after it.
---@return integer count of those that are gone
local function count_gone_oldest_first(tracker, ids)
  local gone = 0
  while ids[gone + 1] and not exists(tracker, ids[gone + 1]) do gone = gone + 1 end
  for index = gone + 1, #ids do
    assert.is_true(exists(tracker, ids[index]), index .. " is gone, " .. gone + 1 .. " is not")
  end
  return gone
end

describe("a store full of unfinished jobs", function()
  local tracker, ids

  before_each(function()
    tracker = assert(JobTracker.open(store_file.path(), { size = "1M", max_jobs = 20 }))
    ids = create_as(tracker, "pending", 10)
    for _, id in ipairs(create_as(tracker, "running", 10)) do ids[#ids + 1] = id end
  end)

  after_each(function() tracker.close() end)

  local function expect_all_there()
    for _, id in ipairs(ids) do assert.is_true(exists(tracker, id)) end
  end

  it("takes max_jobs jobs and then says full", function()
    assert.equal(0, tracker.stats().jobs_available)
    for _ = 1, 3 do expect_code("full", tracker.create_job("one_more")) end
    expect_all_there()
    assert.equal(0, tracker.stats().evictions)
  end)

  it("says how many there are, and that none can go", function()
    assert.equal("no room for another job: 20 of 20 are in use, none of them finished",
      expect_code("full", tracker.create_job("one_more")))
  end)

  it("takes updates of the jobs that are there", function()
    for _, id in ipairs(ids) do
      assert.is_true(tracker.update_job(id, { progress = 0.5, meta = { "m" } }))
    end
    expect_all_there()
  end)

  it("takes jobs again after one has finished", function()
    assert(tracker.update_job(ids[5], { status = "completed" }))
    local id = assert(tracker.create_job("one_more"))
    assert.is_false(exists(tracker, ids[5]))
    assert.is_true(exists(tracker, id))
    assert.equal(1, tracker.stats().evictions)
    expect_code("full", tracker.create_job("one_more"))
    table.remove(ids, 5)
    expect_all_there()
  end)

  it("takes jobs again after one was deleted", function()
    assert(tracker.delete_job(ids[7]))
    assert.is_truthy(tracker.create_job("one_more"))
    expect_code("full", tracker.create_job("one_more"))
    assert.equal(0, tracker.stats().evictions)
  end)

  it("takes jobs again after clear_jobs", function()
    assert.equal(20, tracker.clear_jobs())
    create_as(tracker, "pending", 20)
    expect_code("full", tracker.create_job("one_more"))
  end)
end)

describe("a store full of finished jobs", function()
  it("evicts the oldest first, and never a pending or running one", function()
    local tracker = assert(JobTracker.open(store_file.path(), { size = "1M", max_jobs = 100 }))
    local pending_ids = create_as(tracker, "pending", 10)
    local finished = {}
    for round = 1, 40 do
      finished[round * 2 - 1] = create_as(tracker, "completed", 1)[1]
      finished[round * 2] = create_as(tracker, "failed", 1)[1]
    end
    local running_ids = create_as(tracker, "running", 10)
    local last_gone = 0
    for _ = 1, 80 do
      assert.is_truthy(tracker.create_job("more"))
      local gone = count_gone_oldest_first(tracker, finished)
      assert.is_true(gone >= last_gone)
      assert.equal(gone, tracker.stats().evictions)
      last_gone = gone
    end
    assert.equal(80, last_gone)
    for _, id in ipairs(pending_ids) do assert.is_true(exists(tracker, id)) end
    for _, id in ipairs(running_ids) do assert.is_true(exists(tracker, id)) end
    expect_code("full", tracker.create_job("more"))
    tracker.close()
  end)

  it("keeps most of them: making room for one job does not empty the store", function()
    local tracker = assert(JobTracker.open(store_file.path(), { size = "1M", max_jobs = 200 }))
    local finished = create_as(tracker, "completed", 200)
    assert.is_truthy(tracker.create_job("more"))
    assert.is_true(count_gone_oldest_first(tracker, finished) <= 100)
    tracker.close()
  end)

  it("goes by the time of finishing, not of creation", function()
    local tracker = assert(JobTracker.open(store_file.path(), { size = "1M", max_jobs = 10 }))
    local ids = create_as(tracker, "pending", 10)
    for index = 10, 1, -1 do set_status(tracker, ids[index], "completed") end
    assert.is_truthy(tracker.create_job("more"))
    assert.is_false(exists(tracker, ids[10]))
    assert.is_true(exists(tracker, ids[1]))
    tracker.close()
  end)

  it("turns over for ever", function()
    local tracker = assert(JobTracker.open(store_file.path(), { size = "1M", max_jobs = 50 }))
    for count = 1, 5000 do
      local id = assert(tracker.create_job("turn"))
      assert(tracker.update_job(id, { status = "completed", result = ("x"):rep(count % 3000) }))
      assert.equal(count % 3000, #tracker.get_job(id).result)
    end
    assert.is_true(tracker.stats().evictions >= 4950)
    assert.is_true(tracker.stats().jobs_used <= 50)
    tracker.close()
  end)
end)

describe("a store whose bytes are used up", function()
  local tracker, text

  before_each(function()
    tracker = assert(JobTracker.open(store_file.path(), { size = "1M" }))
    text = ("x"):rep(60000)
  end)

  after_each(function() tracker.close() end)

  ---Unfinished jobs with large results until no more fit.
  local function fill_up()
    local ids = {}
    for index = 1, 100 do
      local id = tracker.create_job("large")
      if not id then return ids end
      ids[index] = id
      local result, message, code = tracker.update_job(id, { result = text .. index })
      if not result then
        expect_code("full", result, message, code)
        assert.is_nil(tracker.get_job(id).result)
        ids[index] = nil
        assert(tracker.delete_job(id))
        return ids
      end
    end
    error("1 MiB holds 100 x 60,000 bytes")
  end

  it("says full, changes nothing and loses nothing", function()
    local ids = fill_up()
    assert.is_true(#ids >= 10, #ids .. " results of 60,000 bytes in 1 MiB")
    local before = tracker.get_job(ids[1])
    expect_code("full", tracker.update_job(ids[1],
      { status = "completed", progress = 0.9, meta = ("y"):rep(200000) }))
    assert.is_true(before == tracker.get_job(ids[1]))
    for index, id in ipairs(ids) do
      assert.is_true(tracker.get_job(id).result == text .. index)
    end
  end)

  it("says how many bytes were asked for, and how many are free", function()
    local ids = fill_up()
    local stats = tracker.stats()
    assert.equal(('job "%s": no room for its texts of 200002 bytes: %d bytes are free of %d, '
      .. "and no finished jobs could make enough"):format(ids[1], stats.bytes_available,
      stats.bytes_used + stats.bytes_available),
      expect_code("full", tracker.update_job(ids[1], { meta = ("y"):rep(200000) })))
  end)

  it("says so of a new job, too", function()
    local message
    local id = assert(tracker.create_job("full"))
    repeat
      local free = tracker.stats().bytes_available
      while free >= 64 and not tracker.update_job(id, { error = ("x"):rep(free) }) do
        free = free - 64
      end
      id, message = tracker.create_job("full")
    until not id
    local stats = tracker.stats()
    assert.equal(("no room for another job: %d bytes are free of %d, and no finished jobs could "
      .. "make enough"):format(stats.bytes_available, stats.bytes_used + stats.bytes_available),
      message)
  end)

  it("lets small updates pass beside large results", function()
    local ids = fill_up()
    for _, id in ipairs(ids) do
      assert.is_true(tracker.update_job(id, { status = "running", progress = 0.5 }))
    end
  end)

  it("takes the room of the oldest finished jobs when there are any", function()
    local ids = fill_up()
    for index = 1, 4 do set_status(tracker, ids[index], "completed") end
    local id = assert(tracker.create_job("large"))
    assert.is_true(tracker.update_job(id, { result = text }))
    local finished = { ids[1], ids[2], ids[3], ids[4] }
    assert.is_true(count_gone_oldest_first(tracker, finished) >= 1)
    for index = 5, #ids do assert.is_true(tracker.get_job(ids[index]).result == text .. index) end
  end)

  it("never evicts the job that is being updated", function()
    local ids = fill_up()
    assert(tracker.update_job(ids[1], { status = "completed" }))
    for _, length in ipairs({ 60000, 300000 }) do
      expect_code("full", tracker.update_job(ids[1], { meta = ("y"):rep(length) }))
      assert.is_true(tracker.get_job(ids[1]).result == text .. 1)
      assert.is_nil(tracker.get_job(ids[1]).meta)
    end
  end)

  it("refuses a value larger than the whole store, whatever could be evicted", function()
    local id = assert(tracker.create_job("large"))
    create_as(tracker, "completed", 5)
    expect_code("full", tracker.update_job(id, { result = ("x"):rep(2 ^ 20) }))
    expect_code("full", tracker.update_job(id, { error = ("x"):rep(2 ^ 24) }))
    assert.equal("pending", tracker.get_job(id).status)
    assert.is_true(tracker.update_job(id, { result = "small" }))
  end)

  it("has its room back after the jobs are cleared", function()
    local capacity = tracker.stats().bytes_available
    local first = #fill_up()
    tracker.clear_jobs()
    assert.equal(capacity, tracker.stats().bytes_available)
    -- One less where the room begins in the middle and goes on at the start.
    assert.is_true(#fill_up() >= first - 1)
  end)
end)

describe("retention", function()
  local path

  before_each(function() path = store_file.path() end)

  local function wait_until_gone(tracker, id)
    local deadline = process.now() + 5
    while tracker.get_job(id) do
      assert(process.now() < deadline, "the job stayed beyond its retention")
      process.sleep(0.005)
    end
  end

  it("is how long a finished job is kept", function()
    local tracker = assert(JobTracker.open(path, { size = "1M", retention = 0.2 }))
    local start = process.now()
    local ids = { create_as(tracker, "completed", 1)[1], create_as(tracker, "failed", 1)[1] }
    for _, id in ipairs(ids) do
      wait_until_gone(tracker, id)
      assert.is_nil((tracker.get_json(id)))
    end
    assert.is_true(process.now() - start >= 0.2)
    assert.same({}, tracker.list_jobs())
    assert.same({}, tracker.list_jobs({ status = "completed" }))
    tracker.close()
  end)

  it("does not touch pending and running jobs", function()
    local tracker = assert(JobTracker.open(path, { size = "1M", retention = 0.01 }))
    local kept = { create_as(tracker, "running", 1)[1], create_as(tracker, "pending", 1)[1] }
    wait_until_gone(tracker, create_as(tracker, "completed", 1)[1])
    for index, job in ipairs(tracker.list_jobs()) do assert.equal(kept[3 - index], job.task_id) end
    assert.is_true(exists(tracker, kept[1]) and exists(tracker, kept[2]))
    tracker.close()
  end)

  it("is the store's: whoever opens it next finds it", function()
    assert(JobTracker.open(path, { size = "1M", retention = 0.05 })).close()
    local tracker = assert(JobTracker.open(path))
    wait_until_gone(tracker, create_as(tracker, "completed", 1)[1])
    tracker.close()
    tracker = assert(JobTracker.open(path, { retention = 3600 }))
    local id = create_as(tracker, "completed", 1)[1]
    process.sleep(0.1)
    assert.is_true(exists(tracker, id))
    tracker.close()
  end)

  it("holds for read-only trackers as well", function()
    local tracker = assert(JobTracker.open(path, { size = "1M", retention = 0.05 }))
    local reader = assert(JobTracker.open(path, { readonly = true }))
    wait_until_gone(reader, create_as(tracker, "completed", 1)[1])
    assert.same({}, reader.list_jobs())
    reader.close()
    tracker.close()
  end)
end)

describe("on a full tmpfs", function()
  ---Runs 'body' where it can mount a disk of 4 MiB on a folder.
  local function run_with_disk(body)
    if not small_disk.possible() then
      pending("a tmpfs cannot be mounted here (that needs root)")
    end
    return fresh.start_by({ "unshare", "-m" }, body, store_file.folder()):finish()
  end

  it("a store that does not fit is refused with no_space", function()
    assert.equal("no_space true, then opened", run_with_disk(function(folder)
      require("small_disk").mount(folder)
      local open, path = require("job_tracker").JobTracker.open, folder .. "/jobs"
      local tracker, message, code = open(path, { size = "8M" })
      assert(tracker == nil)
      io.write(code, " ", tostring(message:find(path, 1, true) ~= nil))
      tracker = assert(open(path, { size = "1M" }))
      assert(tracker.create_job("fits"))
      io.write(", then opened")
    end))
  end)

  it("a new store is refused with no_space when nothing is left", function()
    assert.equal("no_space", run_with_disk(function(folder)
      require("small_disk").mount(folder)
      require("small_disk").fill(folder)
      local tracker, _, code = require("job_tracker").JobTracker.open(folder .. "/jobs",
        { size = "1M" })
      assert(tracker == nil)
      io.write(code)
    end))
  end)

  it("a store that is there goes on: its room was reserved", function()
    local code, count = run_with_disk(function(folder)
      require("small_disk").mount(folder)
      local tracker = assert(require("job_tracker").JobTracker.open(folder .. "/jobs",
        { size = "2M" }))
      require("small_disk").fill(folder)
      local count, full = 0, nil
      while not full do
        local id, _, code = tracker.create_job("reserved")
        if id then _, _, code = tracker.update_job(id, { meta = ("m"):rep(20000) }) end
        count, full = count + 1, code
      end
      io.write(full, " ", count)
    end):match("^(%S+) (%d+)$")
    assert.equal("full", code)
    assert.is_true(tonumber(count) > 60, count .. " jobs of 20,000 bytes in 2 MiB")
  end)
end)
