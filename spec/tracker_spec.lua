-- What each call of a tracker returns, on the in-memory store and on a file
-- alike, called after a dot and after a colon.

local store_file = require "store_file"
local job_tracker = require "job_tracker"
local JobTracker = job_tracker.JobTracker

local TIME = "^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%d%d%d%dZ$"

local function ids_of(jobs)
  local ids = {}
  for index, job in ipairs(jobs) do ids[index] = job.task_id end
  return ids
end

local function reversed(list)
  local result = {}
  for index = #list, 1, -1 do result[#result + 1] = list[index] end
  return result
end

local function create_several(tracker, task_type, count)
  local ids = {}
  for index = 1, count do ids[index] = assert(tracker.create_job(task_type)) end
  return ids
end

---Describes a behaviour of both kinds of tracker.
---@param what string
---@param body fun(get: fun(): table) 'get' returns the tracker, empty
local function describe_both(what, body)
  describe(what .. " (in memory)", function()
    before_each(function() JobTracker.clear_jobs() end)
    after_each(function() JobTracker.clear_jobs() end)
    body(function() return JobTracker end)
  end)
  describe(what .. " (a file)", function()
    local tracker
    before_each(function()
      tracker = assert(JobTracker.open(store_file.path(), { size = "4M" }))
    end)
    after_each(function()
      tracker.close()
      store_file.clean()
    end)
    body(function() return tracker end)
  end)
end

describe_both("create_job", function(get)
  it("takes every character that a URL leaves as it is", function()
    local all = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~-"
    for from = 1, #all, 32 do
      local task_type = all:sub(from, from + 31)
      local job = get().get_job(get().create_job(task_type))
      assert.equal(task_type, job.task_type)
      assert.equal(task_type .. "_", job.task_id:sub(1, -9))
    end
  end)

  it("takes task types of 1 to 64 characters", function()
    for _, length in ipairs({ 1, 2, 63, 64 }) do
      local task_type = ("a"):rep(length)
      local id = get().create_job(task_type)
      assert.equal(length + 9, #id)
      assert.equal(task_type, get().get_job(id).task_type)
    end
  end)

  it("keeps a task type with underscores whole", function()
    local id = get().create_job("a_b_c_00000000")
    assert.equal("a_b_c_00000000", get().get_job(id).task_type)
  end)

  it("stamps the job with the time in UTC", function()
    local before = os.date("!%Y-%m-%dT%H:%M:%S")
    local job = get().get_job(get().create_job("a"))
    local after = os.date("!%Y-%m-%dT%H:%M:%S")
    assert.matches(TIME, job.created_at)
    assert.matches(TIME, job.updated_at)
    assert.is_true(job.created_at:sub(1, 19) >= before)
    assert.is_true(job.created_at:sub(1, 19) <= after)
    assert.is_true(job.updated_at >= job.created_at)
  end)

  it("draws ids in which every hex digit is random", function()
    local counts = {}
    for position = 1, 8 do counts[position] = {} end
    for _, id in ipairs(create_several(get(), "a", 4000)) do
      for position = 1, 8 do
        local digit = id:sub(2 + position, 2 + position)
        counts[position][digit] = (counts[position][digit] or 0) + 1
      end
    end
    for position = 1, 8 do -- 250 of each digit, give or take 8 times 15
      for _, digit in ipairs({ "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b", "c",
        "d", "e", "f" }) do
        local count = counts[position][digit] or 0
        assert.is_true(count > 130 and count < 370, digit .. " at position " .. position
          .. " came " .. count .. " times in 4000")
      end
    end
  end)
end)

describe_both("update_job", function(get)
  it("applies all fields of a call", function()
    local id = get().create_job("a")
    assert.is_true(get().update_job(id, {
      status = "running",
      progress = 0.25,
      current_step = "step 2",
      result = { 1, 2 },
      error = "a warning",
      meta = { user = "ada" },
    }))
    local job = get().get_job(id)
    assert.same({ "running", 0.25, "step 2", { 1, 2 }, "a warning", { user = "ada" } },
      { job.status, job.progress, job.current_step, job.result, job.error, job.meta })
  end)

  it("leaves the fields that a call does not name", function()
    local id = get().create_job("a")
    assert(get().update_job(id, { progress = 0.5, meta = { 1 }, current_step = "s" }))
    assert(get().update_job(id, { result = "r" }))
    assert(get().update_job(id, { error = "e" }))
    local job = get().get_job(id)
    assert.same({ "pending", 0.5, "s", "r", "e", { 1 } },
      { job.status, job.progress, job.current_step, job.result, job.error, job.meta })
  end)

  it("takes an empty table of fields as a sign of life", function()
    local id = get().create_job("a")
    local before = get().get_job(id)
    assert.is_true(get().update_job(id, {}))
    local after = get().get_job(id)
    assert.is_true(after.updated_at > before.updated_at)
    assert.is_true(after.version > before.version)
    assert.equal(before.current_step, after.current_step)
  end)

  it("always increases updated_at and version", function()
    local ids = create_several(get(), "a", 3)
    local last_time, last_version = {}, get().stats().version
    for count = 1, 3000 do
      local id = ids[count % 3 + 1]
      assert(get().update_job(id, { progress = count / 3000 }))
      local job = get().get_job(id)
      assert.is_true(job.updated_at > (last_time[id] or ""))
      assert.is_true(job.version > last_version)
      last_time[id], last_version = job.updated_at, job.version
    end
    assert.equal(last_version, get().stats().version)
  end)

  it("increases updated_at also when updates follow within a microsecond", function()
    local update_job, get_job = get().update_job, get().get_job
    local id, fields, jobs = get().create_job("a"), { progress = 0.5 }, {}
    for count = 1, 3000 do
      update_job(id, fields)
      jobs[count] = get_job(id)
    end
    for count = 2, 3000 do
      assert.is_true(jobs[count].updated_at > jobs[count - 1].updated_at)
    end
  end)

  it("does nothing for an unknown id", function()
    local id = get().create_job("a")
    local before = get().stats()
    local result, message, code = get().update_job("a_unknown!", { status = "running" })
    assert.is_nil(result)
    assert.matches("a_unknown!", message, 1, true)
    assert.equal("not_found", code)
    assert.same(before, get().stats())
    assert.equal("pending", get().get_job(id).status)
  end)

  it("keeps current_step to the byte, up to 4096 of them", function()
    local id = get().create_job("a")
    for _, step in ipairs({ "", "\0", "a\0b\0", "Überblick \226\130\172", "\255\254\128",
      ("x"):rep(4095), ("\0"):rep(4096) }) do
      assert(get().update_job(id, { current_step = step }))
      assert.equal(step, get().get_job(id).current_step)
    end
  end)

  it("keeps an error to the byte, whatever the bytes", function()
    local id = get().create_job("a")
    local every_byte = {}
    for byte = 0, 255 do every_byte[byte + 1] = string.char(byte) end
    every_byte = table.concat(every_byte)
    for _, text in ipairs({ "", "\0", every_byte, every_byte:rep(1000) }) do
      assert(get().update_job(id, { error = text }))
      assert.equal(text, get().get_job(id).error)
    end
  end)
end)

describe_both("update_job clears", function(get)
  it("result, error and meta with null", function()
    local id = get().create_job("a")
    local null = job_tracker.null
    assert(get().update_job(id, { result = { 1 }, error = "e", meta = { m = 1 } }))
    assert(get().update_job(id, { result = null }))
    local job = get().get_job(id)
    assert.same({ nil, "e", { m = 1 } }, { job.result, job.error, job.meta })
    assert(get().update_job(id, { error = null, meta = null }))
    job = get().get_job(id)
    assert.is_nil(job.result)
    assert.is_nil(job.error)
    assert.is_nil(job.meta)
  end)

  it("nothing with false or an empty text, which are values", function()
    local id = get().create_job("a")
    assert(get().update_job(id, { result = false, error = "", meta = "" }))
    local job = get().get_job(id)
    assert.is_false(job.result)
    assert.equal("", job.error)
    assert.equal("", job.meta)
  end)
end)

describe_both("get_job", function(get)
  it("returns the job at one instant: later updates do not show in it", function()
    local id = get().create_job("a")
    local job = get().get_job(id)
    assert(get().update_job(id, { status = "running", progress = 0.5, meta = { 1 } }))
    assert(get().delete_job(id))
    assert.same({ "pending", 0.0 }, { job.status, job.progress })
    assert.is_nil(job.meta)
  end)

  it("tells ids apart that share a beginning", function()
    local ids = create_several(get(), "a", 300)
    for index, id in ipairs(ids) do
      assert(get().update_job(id, { meta = { index = index } }))
    end
    for index, id in ipairs(ids) do
      local job = get().get_job(id)
      assert.equal(id, job.task_id)
      assert.equal(index, job.meta.index)
    end
  end)
end)

describe_both("delete_job", function(get)
  it("removes that job alone", function()
    local ids = create_several(get(), "a", 3)
    assert.is_true(get().delete_job(ids[2]))
    assert.is_nil((get().get_job(ids[2])))
    assert.same({ ids[3], ids[1] }, ids_of(get().list_jobs()))
  end)

  it("says not_found for a job that is gone or never was", function()
    local id = get().create_job("a")
    get().delete_job(id)
    for _, unknown in ipairs({ id, "a_00000000x", "" }) do
      local result, message, code = get().delete_job(unknown)
      assert.is_nil(result)
      assert.matches(unknown, message, 1, true)
      assert.equal("not_found", code)
    end
  end)

  it("gives the room back", function()
    local before = get().stats()
    local id = get().create_job("a")
    assert(get().update_job(id, { result = ("x"):rep(100000) }))
    assert.is_true(get().stats().bytes_used >= before.bytes_used + 100000)
    assert(get().delete_job(id))
    local after = get().stats()
    assert.equal(before.bytes_used, after.bytes_used)
    assert.equal(before.jobs_used, after.jobs_used)
  end)
end)

describe_both("clear_jobs", function(get)
  it("removes jobs of every status and says how many", function()
    for _, status in ipairs({ "pending", "running", "completed", "failed" }) do
      assert(get().update_job(get().create_job("a"), { status = status }))
    end
    assert.equal(4, get().clear_jobs())
    assert.same({}, get().list_jobs())
    assert.equal(0, get().stats().bytes_used)
  end)
end)

describe_both("list_jobs", function(get)
  it("lists the newest first, in the order of their creation", function()
    local ids = create_several(get(), "a", 20)
    assert(get().update_job(ids[7], { progress = 0.5 }))
    assert.same(reversed(ids), ids_of(get().list_jobs()))
    assert.same(reversed(ids), ids_of(get().list_jobs({})))
  end)

  it("returns each job as get_job does", function()
    local id = get().create_job("a")
    assert(get().update_job(id, { meta = { 1, 2 }, error = "e" }))
    local job = get().list_jobs()[1]
    assert.is_true(job == get().get_job(id))
    assert.same(get().get_job(id):to_dict(), job:to_dict())
  end)

  it("filters by status", function()
    local ids = create_several(get(), "a", 8)
    local of = { pending = {}, running = {}, completed = {}, failed = {} }
    for index, status in ipairs({ "failed", "pending", "running", "completed",
      "pending", "completed", "running", "pending" }) do
      assert(get().update_job(ids[index], { status = status }))
      table.insert(of[status], 1, ids[index])
    end
    for status, expected in pairs(of) do
      assert.same(expected, ids_of(get().list_jobs({ status = status })), status)
    end
  end)

  it("filters by the whole task type", function()
    local one = create_several(get(), "a", 2)
    local other = create_several(get(), "a_b", 2)
    assert.same(reversed(one), ids_of(get().list_jobs({ task_type = "a" })))
    assert.same(reversed(other), ids_of(get().list_jobs({ task_type = "a_b" })))
    assert.same({}, get().list_jobs({ task_type = "b" }))
  end)

  it("stops at the limit, with the newest", function()
    local ids = reversed(create_several(get(), "a", 5))
    assert.same({ ids[1], ids[2] }, ids_of(get().list_jobs({ limit = 2 })))
    assert.same(ids, ids_of(get().list_jobs({ limit = 5 })))
    assert.same(ids, ids_of(get().list_jobs({ limit = 1000000 })))
  end)

  it("combines its filters", function()
    local wanted = {}
    for index = 1, 12 do
      local id = get().create_job(index % 2 == 0 and "even" or "odd")
      if index % 3 == 0 then assert(get().update_job(id, { status = "running" })) end
      if index % 6 == 0 then table.insert(wanted, 1, id) end
    end
    local filter = { status = "running", task_type = "even" }
    assert.same(wanted, ids_of(get().list_jobs(filter)))
    filter.limit = 1
    assert.same({ wanted[1] }, ids_of(get().list_jobs(filter)))
  end)
end)

describe_both("get_json", function(get)
  it("returns the text of to_json and the version", function()
    local id = get().create_job("a")
    assert(get().update_job(id, { meta = { 1, { x = "y" } }, result = "r\0", error = "\255" }))
    local text, version = get().get_json(id)
    local job = get().get_job(id)
    assert.equal(job:to_json(), text)
    assert.equal(job.version, version)
  end)

  it("returns nil for an unknown id", function()
    assert.is_nil((get().get_json("a_unknown!")))
  end)
end)

describe_both("stats", function(get)
  it("counts the jobs by status", function()
    local expected = { pending = 1, running = 2, completed = 3, failed = 4 }
    for status, count in pairs(expected) do
      for _, id in ipairs(create_several(get(), "a", count)) do
        assert(get().update_job(id, { status = status }))
      end
    end
    local stats = get().stats()
    for status, count in pairs(expected) do assert.equal(count, stats[status], status) end
    assert.equal(10, stats.jobs_used)
  end)

  it("has whole numbers and these keys alone", function()
    local keys = {}
    for key, value in pairs(get().stats()) do
      keys[#keys + 1] = key
      assert.equal("number", type(value), key)
      assert.equal(value, math.floor(value), key)
      if math.type then assert.equal("integer", math.type(value), key) end
    end
    table.sort(keys)
    assert.same({ "bytes_available", "bytes_used", "completed", "damaged", "evictions",
      "failed", "jobs_available", "jobs_used", "pending", "recoveries", "running",
      "version" }, keys)
  end)

  it("moves what is available to what is used", function()
    local before = get().stats()
    assert.equal(0, before.jobs_used)
    assert.equal(0, before.bytes_used)
    local ids = create_several(get(), "a", 10)
    assert(get().update_job(ids[1], { meta = ("m"):rep(5000) }))
    local after = get().stats()
    assert.equal(10, after.jobs_used)
    assert.equal(before.jobs_available - 10, after.jobs_available)
    assert.is_true(after.bytes_used > 5000)
    assert.equal(before.bytes_available, after.bytes_available + after.bytes_used)
  end)

  it("has a version that every change increases", function()
    local last = get().stats().version
    local function expect_increase(what)
      local version = get().stats().version
      assert.is_true(version > last, what)
      last = version
    end
    local id = get().create_job("a")
    expect_increase("create_job")
    get().update_job(id, { progress = 1 })
    expect_increase("update_job")
    get().delete_job(id)
    expect_increase("delete_job")
    get().create_job("a")
    last = get().stats().version
    get().clear_jobs()
    expect_increase("clear_jobs")
  end)
end)

describe_both("every call", function(get)
  it("works the same after a colon", function()
    local tracker = get()
    local id = tracker:create_job("colon")
    assert.is_true(tracker:update_job(id, { status = "running", meta = { 1 } }))
    assert.equal("running", tracker:get_job(id).status)
    assert.equal(tracker.get_json(id), tracker:get_json(id))
    assert.same({ id }, ids_of(tracker:list_jobs()))
    assert.same({ id }, ids_of(tracker:list_jobs({ task_type = "colon" })))
    assert.same(tracker.stats(), tracker:stats())
    assert.is_true(tracker:update_job(id, { status = "completed" }))
    assert.equal(id, tracker:wait_job(id).task_id)
    assert.equal(id, tracker:wait_job(id, { timeout = 1 }).task_id)
    assert.is_true(tracker:configure({}))
    assert.is_true(tracker:delete_job(id))
    assert.equal(0, tracker:clear_jobs())
    local other = assert(tracker:open(store_file.path(), { size = "1M" }))
    assert.is_truthy(other:create_job("a"))
    other:close()
    store_file.clean()
  end)
end)
