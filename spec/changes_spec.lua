-- Following a store: pages of list_jobs, list_changes, and version.

local child = require "child"
local process = require "process"
local random = require "random"
local store_file = require "store_file"
local wait_until = require "wait_until"
local JobTracker = require("job_tracker").JobTracker

local SEED = 12

local function clear_jobs() JobTracker.clear_jobs() end

before_each(clear_jobs)
after_each(child.end_all)
after_each(clear_jobs)
after_each(store_file.clean)

local function create_several(count, task_type)
  local ids = {}
  for index = 1, count do ids[index] = assert(JobTracker.create_job(task_type or "follow")) end
  return ids
end

local function ids_of(jobs)
  local ids = {}
  for index, job in ipairs(jobs) do ids[index] = job.task_id end
  return ids
end

---All pages, as one list of ids, and how many pages there were.
local function read_pages(options, between, tracker)
  local all, pages = {}, 0
  repeat
    local jobs, after = assert((tracker or JobTracker).list_jobs(options))
    for _, job in ipairs(jobs) do all[#all + 1] = job.task_id end
    options.before, pages = after, pages + 1
    if between then between(pages) end
  until not after
  return all, pages
end

local function reversed(list)
  local result = {}
  for index = #list, 1, -1 do result[#result + 1] = list[index] end
  return result
end

describe("list_jobs page by page", function()
  it("gives every job once, the newest first", function()
    local ids = reversed(create_several(25))
    for _, limit in ipairs({ 1, 4, 5, 24, 25, 26, 1000 }) do
      local all, pages = read_pages({ limit = limit })
      assert.same(ids, all)
      assert.equal(math.ceil(25 / limit), pages)
    end
  end)

  it("has no next page where there is none: no job, no limit, the last job", function()
    local function expect_no_next(options)
      local jobs, after = JobTracker.list_jobs(options)
      assert.is_nil(after)
      return #jobs
    end
    assert.equal(0, expect_no_next({ limit = 5 }))
    create_several(200)
    assert.equal(200, expect_no_next())
    assert.equal(200, expect_no_next({ limit = 200 }))
    assert.equal(0, expect_no_next({ limit = 5, before = 1 }))
    local _, after = JobTracker.list_jobs({ limit = 199 })
    assert.equal(1, expect_no_next({ limit = 1, before = after }))
    assert.equal(1, expect_no_next({ before = after }))
  end)

  it("has an integer as next", function()
    create_several(2)
    local _, after = JobTracker.list_jobs({ limit = 1 })
    assert.equal("number", type(after))
    if math.type then assert.equal("integer", math.type(after)) end
  end)

  it("keeps its filters", function()
    local wanted = {}
    for index = 1, 60 do
      local id = JobTracker.create_job(index % 2 == 0 and "even" or "odd")
      if index % 3 == 0 then assert(JobTracker.update_job(id, { status = "running" })) end
      if index % 6 == 0 then table.insert(wanted, 1, id) end
    end
    local filter = { status = "running", task_type = "even", limit = 3 }
    local all, pages = read_pages(filter)
    assert.same(wanted, all)
    assert.equal(4, pages) -- ten jobs
  end)

  it("goes on after a job that has gone, and where all of a page have", function()
    local ids = reversed(create_several(30))
    local all = read_pages({ limit = 5 }, function(pages)
      if pages == 1 then assert(JobTracker.delete_job(ids[5])) end
      if pages == 2 then
        for index = 11, 15 do assert(JobTracker.delete_job(ids[index])) end
      end
    end)
    local expected = {}
    for index, id in ipairs(ids) do
      if index < 11 or index > 15 then expected[#expected + 1] = id end
    end
    assert.same(expected, all)
  end)

  ---Creates, changes and deletes jobs until 'stop' is completed: those of
  ---'lasting' only change, those of 'leaving' go one by one.
  local function start_traffic(tracker, lasting, leaving, stop)
    return child.start(function()
      local numbers, passing, round = random.new(SEED), {}, 0
      while tracker.get_job(stop).status == "pending" do
        round = round + 1
        table.insert(passing, 1, (assert(tracker.create_job("follow"))))
        if #passing > 300 then assert(tracker.delete_job(table.remove(passing))) end
        assert(tracker.update_job(lasting[numbers:whole(1, #lasting)], { progress = 0.5,
          error = ("e"):rep(numbers:whole(0, 300)) }))
        if leaving[1] and round % 10 == 0 then
          assert(tracker.delete_job(table.remove(leaving, numbers:whole(1, #leaving))))
        end
      end
    end)
  end

  it("misses none of 1,000 jobs and repeats none while jobs come, go and change", function()
    local tracker = assert(JobTracker.open(store_file.path(), { size = "4M" }))
    local stop = assert(tracker.create_job("stop"))
    local lasting, leaving, is_lasting = {}, {}, {}
    for index = 1, 1000 do
      local list = index % 3 == 0 and leaving or lasting
      list[#list + 1] = assert(tracker.create_job("follow"))
      is_lasting[list[#list]] = list == lasting
    end
    local traffic = start_traffic(tracker, lasting, leaving, stop)
    wait_until(function() return tracker.stats().jobs_used > 1200 end, "the traffic")
    for _, limit in ipairs({ 7, 37, 300 }) do
      local seen, found = {}, {}
      local all, pages = read_pages({ limit = limit, task_type = "follow" }, function()
        local version = tracker.version()
        wait_until(function() return tracker.version() > version + 10 end, "the traffic")
      end, tracker)
      for _, id in ipairs(all) do
        assert(not seen[id], "listed twice: " .. id)
        seen[id] = true
        if is_lasting[id] then table.insert(found, 1, id) end
      end
      assert.same(lasting, found)
      assert.is_true(pages >= #lasting / limit)
    end
    assert(tracker.update_job(stop, { status = "completed" }))
    traffic:finish()
    tracker.close()
  end)
end)

describe("list_changes", function()
  it("gives all jobs after 0, the oldest change first, and the store's version", function()
    local ids = create_several(5)
    for _, index in ipairs({ 2, 5, 1 }) do
      assert(JobTracker.update_job(ids[index], { progress = 0.5 }))
    end
    local jobs, version = JobTracker.list_changes(0)
    assert.same({ ids[3], ids[4], ids[2], ids[5], ids[1] }, ids_of(jobs))
    assert.equal(JobTracker.stats().version, version)
    for _, job in ipairs(jobs) do assert.is_true(job == JobTracker.get_job(job.task_id)) end
  end)

  it("gives what has changed since, once and as it is now", function()
    local ids = create_several(10)
    local _, version = JobTracker.list_changes(0)
    assert.same({}, (JobTracker.list_changes(version)))
    assert(JobTracker.update_job(ids[7], { progress = 0.1 }))
    assert(JobTracker.update_job(ids[3], { progress = 0.2 }))
    assert(JobTracker.update_job(ids[7], { progress = 0.3 }))
    local new = JobTracker.create_job("follow")
    local jobs, following = JobTracker.list_changes(version)
    assert.same({ ids[3], ids[7], new }, ids_of(jobs))
    assert.equal(0.3, jobs[2].progress)
    assert.is_true(following > version)
    jobs, version = JobTracker.list_changes(following)
    assert.same({}, jobs)
    assert.equal(following, version)
  end)

  it("leaves deleted jobs out, and says by its version that something happened", function()
    local ids = create_several(3)
    local _, version = JobTracker.list_changes(0)
    assert(JobTracker.update_job(ids[2], { progress = 0.1 }))
    assert(JobTracker.delete_job(ids[2]))
    local jobs, following = JobTracker.list_changes(version)
    assert.same({}, jobs)
    assert.is_true(following > version)
  end)

  it("goes through all changes by steps of a limit", function()
    local ids = create_several(23)
    for _, limit in ipairs({ 1, 4, 22, 23, 1000 }) do
      local all, after = {}, 0
      repeat
        local jobs, version = JobTracker.list_changes(after, { limit = limit })
        assert.is_true(#jobs <= limit)
        assert.is_true(version >= after)
        for _, job in ipairs(jobs) do all[#all + 1] = job.task_id end
        after = version
      until #jobs == 0
      assert.same(ids, all)
      assert.equal(JobTracker.stats().version, after)
    end
  end)

  it("gives nothing after a version that is still to come", function()
    create_several(3)
    local jobs = JobTracker.list_changes(2 ^ 52)
    assert.same({}, jobs)
  end)

  it("takes memory for what has changed, not for all jobs there are", function()
    local ids = create_several(20000)
    local version = JobTracker.version()
    for index = 1, 5 do assert(JobTracker.update_job(ids[index * 1000], { progress = 0.5 })) end
    collectgarbage()
    collectgarbage()
    collectgarbage("stop")
    local before = collectgarbage("count")
    local jobs = JobTracker.list_changes(version)
    local used = collectgarbage("count") - before
    collectgarbage("restart")
    assert.equal(5, #jobs)
    assert.is_true(used < 32, used .. " KiB for five jobs")
    assert.equal(20000, #JobTracker.list_changes(0))
  end)

  it("gives integers, and jobs as get_job does", function()
    local id = JobTracker.create_job("follow")
    assert(JobTracker.update_job(id, { meta = { 1, { a = "b" } }, result = ("r"):rep(5000) }))
    local jobs, version = JobTracker.list_changes(0)
    assert.same(JobTracker.get_job(id):to_dict(), jobs[1]:to_dict())
    if math.type then assert.equal("integer", math.type(version)) end
  end)
end)

describe("version", function()
  it("is the store's, and grows with every change", function()
    local version, dead = JobTracker.version()
    assert.same({ JobTracker.stats().version, 0 }, { version, dead })
    local id = JobTracker.create_job("follow")
    for _, change in ipairs({
      function() return JobTracker.update_job(id, { progress = 0.5 }) end,
      function() return JobTracker.claim_job(id) end,
      function() return JobTracker.cancel_job(id) end,
      function() return JobTracker.delete_job(id) end,
    }) do
      local before = JobTracker.version()
      assert(change())
      assert.is_true(JobTracker.version() > before)
    end
    assert.equal(JobTracker.version(), (JobTracker.version()))
  end)

  it("is the same when nothing happened", function()
    local id = create_several(3)[1]
    local before = JobTracker.version()
    JobTracker.get_job(id)
    JobTracker.list_jobs()
    JobTracker.list_changes(0)
    JobTracker.update_job("follow_unknown!", {})
    JobTracker.cancel_job("follow_unknown!")
    assert.equal(before, (JobTracker.version()))
  end)

  it("costs no memory", function()
    local call = JobTracker.version
    call()
    collectgarbage()
    collectgarbage()
    collectgarbage("stop")
    local before = collectgarbage("count")
    for _ = 1, 10000 do call() end
    local used = collectgarbage("count") - before
    collectgarbage("restart")
    assert.is_true(used < 16, used .. " KiB for 10,000 calls")
  end)
end)

---Changes jobs at random until 'stop' is completed; each writer its own jobs.
local function start_writer(tracker, seed, stop)
  return child.start(function()
    local numbers, ids = random.new(seed), {}
    for index = 1, 20 do ids[index] = assert(tracker.create_job("follow")) end
    local count = 0
    while tracker.get_job(stop).status == "pending" do
      count = count + 1
      local index = numbers:whole(1, #ids)
      if numbers:whole(1, 20) == 1 then
        assert(tracker.update_job(ids[index], { status = "completed" }))
        if numbers:whole(1, 2) == 1 then assert(tracker.delete_job(ids[index])) end
        ids[index] = assert(tracker.create_job("follow"))
      else
        assert(tracker.update_job(ids[index], { progress = numbers:whole(0, 1000) / 1000,
          current_step = "step " .. count, meta = { count, ("m"):rep(count % 900) } }))
      end
    end
  end)
end

---Collects the last state of each job that list_changes gave; 'poll' asks version
---first, as pollers do.
local function new_follower(tracker, options, poll)
  local self = { states = {}, after = 0, collected = 0 }
  local last_version, last_dead
  function self.follow()
    local version, dead = tracker.version()
    if poll and version == last_version and dead == last_dead then return false end
    local jobs, after = assert(tracker.list_changes(self.after, options))
    for _, job in ipairs(jobs) do
      local before = self.states[job.task_id]
      assert(not before or before.version <= job.version, "a job went back")
      self.states[job.task_id] = job
    end
    assert(after >= self.after)
    self.after, self.collected = after, self.collected + #jobs
    if #jobs == 0 or not options then last_version, last_dead = version, dead end
    return #jobs > 0
  end
  return self
end

local function expect_same_as_store(tracker, follower)
  local jobs = assert(tracker.list_jobs())
  assert.is_true(#jobs > 20)
  for _, job in ipairs(jobs) do
    local state = follower.states[job.task_id]
    assert.is_truthy(state, "never seen: " .. job.task_id)
    assert.same(job:to_dict(), state:to_dict())
  end
end

describe("a follower of list_changes misses nothing while three writers write:", function()
  local kinds = {
    ["in memory"] = function() return JobTracker, JobTracker end,
    ["on a file, read-only"] = function()
      local path = store_file.path()
      local writer = assert(JobTracker.open(path, { size = "4M" }))
      return writer, assert(JobTracker.open(path, { readonly = true }))
    end,
  }
  local ways = {
    ["everything at once"] = { nil, false },
    ["seven at a time"] = { { limit = 7 }, false },
    ["asking version first"] = { nil, true },
    ["asking version first, seven at a time"] = { { limit = 7 }, true },
  }

  for kind, open in pairs(kinds) do
    for way, how in pairs(ways) do
      it(kind .. ", " .. way, function()
        local writer, reader = open()
        local stop = assert(writer.create_job("stop"))
        local follower = new_follower(reader, how[1], how[2])
        local writers, began = {}, writer.version()
        for number = 1, 3 do writers[number] = start_writer(writer, SEED + number, stop) end
        local deadline = process.now() + 20
        while follower.collected < 500 or writer.version() < began + 5000 do
          follower.follow()
          assert(process.now() < deadline, "the writers are too slow")
        end
        assert(writer.update_job(stop, { status = "completed" }))
        for _, one in ipairs(writers) do one:finish() end
        while follower.follow() do end -- luacheck: ignore 542
        expect_same_as_store(reader, follower)
        if writer ~= JobTracker then
          reader.close()
          writer.close()
        end
      end)
    end
  end
end)
