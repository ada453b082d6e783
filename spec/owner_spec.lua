-- Owners: who may claim a job, and that a job whose owner has died is failed in
-- every look from then on, however the owner died, and that no other job is.

local child = require "child"
local fresh = require "fresh"
local process = require "process"
local store_file = require "store_file"
local wait_until = require "wait_until"
local JobTracker = require("job_tracker").JobTracker

local STEP = "sections 3/7: Memory order"

before_each(function() JobTracker.clear_jobs() end)

after_each(function()
  child.end_all()
  fresh.end_all()
  JobTracker.clear_jobs()
  store_file.clean()
end)

local function death_of(pid, step)
  return ("the process working on this job (pid %d) died during: %s"):format(pid, step or STEP)
end

local function expect_code(expected, result, message, code)
  assert.is_nil(result)
  assert.equal("string", type(message))
  assert.equal(expected, code)
  return message
end

---Claims and starts the job, in the process that works on it.
local function begin(tracker, id)
  assert(tracker.claim_job(id))
  assert(tracker.update_job(id, { status = "running", progress = 0.25, current_step = STEP,
    meta = { user = "ada" } }))
end

local function await_running(tracker, id)
  wait_until(function() return tracker.get_job(id).status == "running" end, "the owner to begin")
end

---Forks an owner that works on the job until it is told by its end.
local function start_owner(tracker, id)
  local owner = child.start(function()
    begin(tracker, id)
    tracker.wait_job(id)
  end)
  await_running(tracker, id)
  return owner
end

---The calls' ids and no more, in any order.
local function has(jobs, id)
  for _, job in ipairs(jobs) do
    if job.task_id == id then return job end
  end
end

-- Whom the owner works for, and who looks: owner's tracker, the looker's.
local KINDS = {
  ["in memory"] = function() return JobTracker, JobTracker end,
  ["on a file"] = function()
    local tracker = assert(JobTracker.open(store_file.path(), { size = "1M" }))
    return tracker, tracker
  end,
  ["on a file that is opened twice"] = function()
    local path = store_file.path()
    return assert(JobTracker.open(path, { size = "1M" })), assert(JobTracker.open(path))
  end,
  ["on a file, read-only"] = function()
    local path = store_file.path()
    return assert(JobTracker.open(path, { size = "1M" })),
      assert(JobTracker.open(path, { readonly = true }))
  end,
}

local function close_all(...)
  for _, tracker in ipairs({ ... }) do
    if tracker ~= JobTracker then pcall(tracker.close) end
  end
end

---Describes a behaviour for each kind of tracker.
---@param body fun(get: fun(): table, table, boolean) 'get' returns the owner's
---tracker, the looker's, and whether that one may write
local function describe_each(what, body)
  for kind, open in pairs(KINDS) do
    describe(what .. " (" .. kind .. ")", function()
      local owners, look
      before_each(function() owners, look = open() end)
      after_each(function()
        child.end_all()
        close_all(look, owners)
      end)
      body(function() return owners, look, not kind:find("read-only", 1, true) end)
    end)
  end
end

describe_each("when its owner is killed, a job", function(get)
  local tracker, look, may_write, id, before, pid

  before_each(function()
    tracker, look, may_write = get()
    id = assert(tracker.create_job("owned"))
    local owner = start_owner(tracker, id)
    before, pid = look.get_job(id), owner.pid
    assert.equal("running", before.status)
    owner:kill_dead()
  end)

  local function expect_dead(job)
    assert.equal("failed", job.status)
    assert.equal(death_of(pid), job.error)
    assert.is_true(job.version > before.version)
    assert.is_not_nil(job.finished_at)
    for _, field in ipairs({ "task_id", "task_type", "progress", "current_step", "created_at",
      "started_at" }) do
      assert.equal(before[field], job[field], field)
    end
    assert.same(before.meta, job.meta)
    assert.is_nil(job.result)
    if not may_write then
      assert.equal(before.version + 1, job.version)
      assert.equal(before.updated_at, job.updated_at)
      assert.equal(before.updated_at, job.finished_at)
    else
      assert.is_true(job.updated_at > before.updated_at)
      assert.equal(job.updated_at, job.finished_at)
    end
  end

  it("is failed for get_job, and stays the same", function()
    local job = look.get_job(id)
    expect_dead(job)
    assert.is_true(look.get_job(id) == job)
    assert.same(job:to_dict(), look.get_job(id):to_dict())
  end)

  it("is failed for get_json", function()
    local text, version = look.get_json(id)
    assert.matches('"status":"failed"', text, 1, true)
    assert.matches('"error":"' .. death_of(pid) .. '"', text, 1, true)
    assert.equal(look.get_job(id):to_json(), text)
    assert.equal(look.get_job(id).version, version)
  end)

  it("is failed for list_jobs, also by status", function()
    expect_dead(look.list_jobs({ status = "failed" })[1])
    assert.same({}, (look.list_jobs({ status = "running" })))
    expect_dead(look.list_jobs()[1])
  end)

  it("is failed for wait_job, which returns at once", function()
    local start = process.now()
    expect_dead(look.wait_job(id, { timeout = 10 }))
    expect_dead(look.wait_job(id, { after = before.version, timeout = 10 }))
    assert.is_true(process.now() - start < 5)
  end)

  it("is failed for list_changes", function()
    local jobs, version = look.list_changes(before.version)
    expect_dead(assert(has(jobs, id)))
    jobs = look.list_changes(version)
    if may_write then assert.is_nil(has(jobs, id))
    else expect_dead(assert(has(jobs, id))) end
  end)

  it("is failed for stats", function()
    local stats = look.stats()
    assert.same({ 0, 0, 0, 1 }, { stats.pending, stats.running, stats.completed, stats.failed })
    assert.equal(1, stats.jobs_used)
  end)

  it("shows in version: as a change, or as a dead owner", function()
    local version, dead = look.version()
    if may_write then
      assert.is_true(version > before.version)
      assert.equal(0, dead)
      expect_dead(look.get_job(id))
      assert.equal(version, (look.version()))
    else
      assert.same({ before.version, 1 }, { version, dead })
    end
  end)

  it("is failed for tostring", function()
    assert.matches("failed 25%", tostring(look.get_job(id)), 1, true)
  end)

  it("is as finished as any for who would change it", function()
    local function said(verb) return ('job "%s": a failed job cannot %s'):format(id, verb) end
    assert.equal(said("become completed"), expect_code("invalid_transition",
      tracker.update_job(id, { status = "completed" })))
    assert.equal(said("be claimed"), expect_code("invalid_transition", tracker.claim_job(id)))
    assert.equal(said("be cancelled"), expect_code("invalid_transition", tracker.cancel_job(id)))
    assert.equal(death_of(pid), look.get_job(id).error)
    assert.is_true(tracker.update_job(id, { meta = "noted" }))
    assert.equal("noted", look.get_job(id).meta)
    assert.equal(death_of(pid), look.get_job(id).error)
    assert.is_true(tracker.delete_job(id))
    assert.is_nil((look.get_job(id)))
  end)

  it("is the same for a read-only look before and after a writer has seen it", function()
    local first = look.get_job(id)
    local seen = tracker.get_job(id)
    local second = look.get_job(id)
    assert.is_true(second == seen)
    assert.equal(first.status, second.status)
    assert.equal(first.error, second.error)
    assert.is_true(second.version >= first.version)
    local version, dead = look.version()
    assert.is_true(version >= seen.version)
    assert.equal(0, dead)
  end)
end)

describe("however its owner dies, a job is failed:", function()
  local path, look, reader

  before_each(function()
    path = store_file.path()
    look = assert(JobTracker.open(path, { size = "1M" }))
    reader = assert(JobTracker.open(path, { readonly = true }))
  end)

  after_each(function() close_all(look, reader) end)

  -- Each runs in an interpreter of its own, with its job running.
  local DEATHS = {
    ["os.exit(0)"] = function() os.exit(0) end,
    ["os.exit(1) with the state closed"] = function() os.exit(1, true) end,
    ["an error with the state closed"] = function() error("out of ideas", 0) end,
    ["the end of the script"] = function() end,
    ["closing its tracker, then the end"] = function(tracker) tracker.close() end,
    ["a collected tracker, then the end"] = function(tracker)
      for name in pairs(tracker) do tracker[name] = nil end
      package.loaded.job_tracker = nil
      collectgarbage()
      collectgarbage()
    end,
    ["SIGTERM"] = function()
      local processes = require "process"
      processes.kill(processes.getpid(), "TERM")
      processes.sleep(60)
    end,
    ["SIGKILL"] = function()
      local processes = require "process"
      processes.kill(processes.getpid(), "KILL")
      processes.sleep(60)
    end,
    ["SIGSEGV"] = function()
      local processes = require "process"
      processes.limit("core", 0)
      processes.kill(processes.getpid(), "SEGV")
      processes.sleep(60)
    end,
  }

  for name, die in pairs(DEATHS) do
    it(name, function()
      local id = assert(look.create_job("owned"))
      local version = look.version()
      local owner = fresh.start(function(file, task_id, step, dump)
        local tracker = assert(require("job_tracker").JobTracker.open(file))
        assert(tracker.claim_job(task_id))
        assert(tracker.update_job(task_id, { status = "running", current_step = step }))
        local bytes = dump:gsub("%x%x", function(hex) return string.char(tonumber(hex, 16)) end)
        local last = assert((loadstring or load)(bytes)) -- luacheck: ignore 113
        last(tracker)
      end, path, id, STEP, (string.dump(die):gsub(".", function(byte)
        return ("%02x"):format(byte:byte())
      end)))
      local how, code, _, errors = owner:wait()
      assert.not_equal("timeout", how)
      assert.is_nil(errors:find("assertion", 1, true), how .. " " .. tostring(code) .. errors)
      assert.same({ "failed", death_of(owner.pid) },
        { reader.get_job(id).status, reader.get_job(id).error })
      assert.same({ "failed", death_of(owner.pid) },
        { look.get_job(id).status, look.get_job(id).error })
      assert.is_true(look.version() > version)
    end)
  end

  it("also before it was running, with the step it had", function()
    local id = assert(look.create_job("owned"))
    local owner = child.start(function() assert(look.claim_job(id)) end)
    owner:finish()
    assert.same({ "failed", death_of(owner.pid, "Initializing") },
      { reader.get_job(id).status, reader.get_job(id).error })
    assert.is_nil(look.get_job(id).started_at)
  end)

  it("with any bytes in its step, and without one where there is none", function()
    for step, tail in pairs({ [""] = " died", ["a\0\255"] = " died during: a\0\255",
      [("s"):rep(4096)] = " died during: " .. ("s"):rep(4096) }) do
      local id = assert(look.create_job("owned"))
      local owner = child.start(function()
        assert(look.claim_job(id))
        assert(look.update_job(id, { current_step = step }))
      end)
      owner:finish()
      local said = ("the process working on this job (pid %d)"):format(owner.pid) .. tail
      assert.equal(said, reader.get_job(id).error)
      assert.equal(said, look.get_job(id).error)
    end
  end)

  it("all of its jobs, and those of others stay", function()
    local ids, others = {}, {}
    for index = 1, 20 do
      ids[index] = assert(look.create_job("owned"))
      others[index] = assert(look.create_job("owned"))
    end
    local living = child.start(function()
      for index = 1, 10 do begin(look, others[index]) end
      look.wait_job(others[1])
    end)
    local owner = child.start(function()
      for _, id in ipairs(ids) do begin(look, id) end
      assert(look.update_job(ids[20], { status = "completed" }))
    end)
    owner:finish()
    await_running(look, others[10])
    for index = 1, 19 do assert.equal(death_of(owner.pid), reader.get_job(ids[index]).error) end
    assert.equal(19, #reader.list_jobs({ status = "failed" }))
    assert.equal(19, reader.stats().failed)
    assert.equal("completed", reader.get_job(ids[20]).status)
    assert.equal(10, #reader.list_jobs({ status = "running" }))
    assert.equal(10, #look.list_jobs({ status = "pending" }))
    assert.equal(19, look.stats().failed)
    assert.is_nil(look.get_job(ids[20]).error)
    living:kill_dead()
    assert.equal(29, look.stats().failed)
  end)

  it("with nobody else there to see it, for who opens the file later", function()
    close_all(look, reader)
    local id, pid = fresh.run(function(file)
      local tracker = assert(require("job_tracker").JobTracker.open(file))
      local task_id = assert(tracker.create_job("owned"))
      assert(tracker.claim_job(task_id))
      assert(tracker.update_job(task_id, { status = "running", current_step = "alone" }))
      io.write(task_id, " ", require("process").getpid())
    end, path):match("(%S+) (%d+)")
    reader = assert(JobTracker.open(path, { readonly = true }))
    assert.equal(death_of(tonumber(pid), "alone"), reader.get_job(id).error)
    look = assert(JobTracker.open(path))
    assert.equal(death_of(tonumber(pid), "alone"), look.get_job(id).error)
    assert.equal(1, look.stats().failed)
    assert.equal("failed", reader.get_job(id).status)
    assert.equal(look.get_job(id).version, reader.get_job(id).version)
  end)
end)

describe_each("wait_job, when the owner is killed", function(get)
  ---How long after the kill a waiting process was awake.
  local function seconds_until_awake(tracker, look, options)
    local id, notes = assert(tracker.create_job("owned")), store_file.path()
    local owner = start_owner(tracker, id)
    if options then options.after = look.get_job(id).version end
    local waiting = child.start(function()
      local job = look.wait_job(id, options)
      local awake = process.now()
      assert(job.status == "failed" and job.error == death_of(owner.pid), tostring(job))
      store_file.write(notes, ("%.6f"):format(awake))
    end)
    wait_until(function() return child.sleeps(waiting.pid) end, "a child to wait")
    local start = process.now()
    owner:kill_dead()
    waiting:finish(10)
    return tonumber(store_file.read(notes)) - start
  end

  it("returns within 250 ms", function()
    local tracker, look = get()
    local within = 0
    for round = 1, 9 do -- most of them: the machine may be busy with something else
      local seconds = seconds_until_awake(tracker, look, round % 2 == 0 and {} or nil)
      assert.is_true(seconds > 0 and seconds < 5, seconds .. " s")
      if seconds < 0.25 then within = within + 1 end
    end
    assert.is_true(within >= 7, within .. " of 9 within 250 ms")
  end)
end)

describe("a living owner's job is never failed", function()
  ---Looks in all ways until 'stop' is completed; a dead owner is an error.
  local function start_looking(look, ids, stop)
    return child.start(function()
      local rounds = 0
      while look.get_job(stop).status ~= "completed" do
        for _, id in ipairs(ids) do
          local job = look.get_job(id)
          assert(job.status ~= "failed" and not job.error, tostring(job))
          assert(not look.get_json(id):find('"failed"', 1, true))
        end
        assert(#look.list_jobs({ status = "failed" }) == 0)
        assert(look.stats().failed == 0)
        local _, dead = look.version()
        assert(dead == 0, "dead: " .. dead)
        assert(select(3, look.wait_job(ids[1], { timeout = 0.001 })) ~= "not_found")
        rounds = rounds + 1
      end
      assert(rounds > 10)
    end)
  end

  for _, readonly in ipairs({ false, true }) do
    it("under a storm of readers" .. (readonly and " that only read" or ""), function()
      local path = store_file.path()
      local tracker = assert(JobTracker.open(path, { size = "4M" }))
      local look = assert(JobTracker.open(path, { readonly = readonly }))
      local stop, ids, owners = tracker.create_job("stop"), {}, {}
      for index = 1, 3 do
        ids[index] = assert(tracker.create_job("owned"))
        owners[index] = child.start(function()
          begin(tracker, ids[index])
          local count = 0
          while tracker.get_job(stop).status ~= "completed" do
            count = count + 1
            assert(tracker.update_job(ids[index], { progress = count % 100 / 100,
              meta = { ("m"):rep(count % 3000) } }))
            local other = assert(tracker.create_job("other")) -- claimed, finished, reused
            assert(tracker.claim_job(other))
            assert(tracker.update_job(other, { status = "completed" }))
            assert(tracker.delete_job(other))
          end
        end)
        await_running(tracker, ids[index])
      end
      local looking = { start_looking(look, ids, stop), start_looking(look, ids, stop) }
      process.sleep(1.5) -- so long is the storm
      assert(tracker.update_job(stop, { status = "completed" }))
      for _, one in ipairs(looking) do one:finish() end
      for index, id in ipairs(ids) do
        owners[index]:finish()
        assert.equal("failed", look.get_job(id).status) -- now it has ended
      end
      close_all(look, tracker)
    end)
  end

  it("while the owner is stopped", function()
    local id = assert(JobTracker.create_job("owned"))
    local owner = start_owner(JobTracker, id)
    owner:kill("STOP")
    assert.equal("timeout", select(3, JobTracker.wait_job(id, { timeout = 0.3 })))
    assert.equal("running", JobTracker.get_job(id).status)
    owner:kill_dead()
    assert.equal("failed", JobTracker.get_job(id).status)
  end)

  it("while the owner lives on, though it has closed its tracker", function()
    local path = store_file.path()
    local look = assert(JobTracker.open(path, { size = "1M" }))
    local id, closed = assert(look.create_job("owned")), store_file.path()
    local owner = fresh.start(function(file, task_id, note)
      local tracker = assert(require("job_tracker").JobTracker.open(file))
      assert(tracker.claim_job(task_id))
      assert(tracker.update_job(task_id, { status = "running", current_step = "closed" }))
      tracker.close()
      assert(io.open(note, "w")):close()
      require("process").sleep(60)
    end, path, id, closed)
    wait_until(function() return store_file.exists(closed) end, "the owner to close")
    assert.equal("running", look.get_job(id).status)
    assert.equal("timeout", select(3, look.wait_job(id, { timeout = 0.2 })))
    owner:kill("KILL")
    assert.equal(death_of(owner.pid, "closed"), look.wait_job(id, { timeout = 10 }).error)
    look.close()
  end)

  it("when a child of the owner dies", function()
    local id = assert(JobTracker.create_job("owned"))
    local owner = child.start(function()
      begin(JobTracker, id)
      child.start(function() process.sleep(60) end):kill_dead()
      child.run(function() assert(JobTracker.get_job(id).status == "running") end)
      assert(JobTracker.get_job(id).status == "running")
      assert(JobTracker.update_job(id, { status = "completed" }))
    end)
    owner:finish()
    assert.equal("completed", JobTracker.get_job(id).status)
  end)

  it("when it was finished before the owner's end", function()
    for _, status in ipairs({ "completed", "failed" }) do
      local id = assert(JobTracker.create_job("owned"))
      child.run(function()
        begin(JobTracker, id)
        assert(JobTracker.update_job(id, { status = status, error = "its own" }))
      end)
      local job = JobTracker.get_job(id)
      assert.same({ status, "its own" }, { job.status, job.error })
      assert.equal(job.version, JobTracker.get_job(id).version)
    end
  end)
end)

describe("a job that nobody claimed", function()
  it("is as it was when the process that worked on it dies", function()
    local id = assert(JobTracker.create_job("unclaimed"))
    local worker = child.start(function()
      assert(JobTracker.claim_job(JobTracker.create_job("another")))
      assert(JobTracker.update_job(id, { status = "running", current_step = STEP }))
      JobTracker.wait_job(id)
    end)
    await_running(JobTracker, id)
    local before = JobTracker.get_job(id)
    worker:kill_dead()
    assert.equal("failed", JobTracker.list_jobs({ task_type = "another" })[1].status)
    assert.same(before:to_dict(), JobTracker.get_job(id):to_dict())
    assert.equal("timeout", select(3, JobTracker.wait_job(id, { timeout = 0.2 })))
    assert.equal("running", JobTracker.get_job(id).status)
  end)
end)

describe_each("claim_job", function(get)
  it("is granted once: to the second process it says claimed", function()
    local tracker = get()
    local id = assert(tracker.create_job("owned"))
    local owner = start_owner(tracker, id)
    local before = tracker.get_job(id)
    local message = expect_code("claimed", tracker.claim_job(id))
    assert.matches(id, message, 1, true)
    child.run(function() expect_code("claimed", tracker.claim_job(id)) end)
    assert.same(before:to_dict(), tracker.get_job(id):to_dict())
    assert.is_true(tracker.update_job(id, { status = "completed" })) -- by who is not the owner
    owner:finish()
  end)

  it("is granted again to who owns it, and changes nothing then", function()
    local tracker = get()
    child.run(function()
      local id = assert(tracker.create_job("owned"))
      assert(tracker.claim_job(id) == true)
      local before = tracker.get_job(id)
      assert(tracker.claim_job(id) == true)
      assert(tracker:claim_job(id) == true)
      assert.same(before:to_dict(), tracker.get_job(id):to_dict())
      assert(tracker.update_job(id, { status = "completed" }))
    end)
  end)

  it("is told from changing hands by the version", function()
    local tracker, look = get()
    local id = assert(tracker.create_job("owned"))
    local before = look.get_job(id)
    child.run(function()
      assert(tracker.claim_job(id))
      local job = look.get_job(id)
      assert(job.version > before.version and job.status == "pending")
      assert(job.updated_at >= before.updated_at)
      assert(tracker.update_job(id, { status = "completed" }))
    end)
  end)

  it("after a fork is the child's own affair", function()
    local tracker, look = get()
    local ours, theirs = assert(tracker.create_job("owned")), assert(tracker.create_job("owned"))
    local parent = child.start(function()
      begin(tracker, ours)
      local pid
      local son = child.start(function()
        expect_code("claimed", tracker.claim_job(ours))
        begin(tracker, theirs)
        tracker.wait_job(theirs)
      end)
      pid = son.pid
      await_running(look, theirs)
      expect_code("claimed", tracker.claim_job(theirs))
      son:kill_dead()
      assert(look.get_job(theirs).error == death_of(pid))
      assert(look.get_job(ours).status == "running")
      assert(tracker.claim_job(ours))
    end)
    parent:finish()
    assert.equal(death_of(parent.pid), look.get_job(ours).error)
  end)
end)

describe("claim_job", function()
  it("is refused for a finished job, with its status", function()
    for _, status in ipairs({ "completed", "failed" }) do
      local id = assert(JobTracker.create_job("owned"))
      assert(JobTracker.update_job(id, { status = status }))
      assert.equal(('job "%s": a %s job cannot be claimed'):format(id, status),
        expect_code("invalid_transition", JobTracker.claim_job(id)))
    end
  end)

  it("is refused for an unknown job", function()
    assert.matches("owned_unknown!",
      expect_code("not_found", JobTracker.claim_job("owned_unknown!")), 1, true)
  end)

  it("keeps all that the job is", function()
    child.run(function()
      local id = assert(JobTracker.create_job("owned"))
      assert(JobTracker.update_job(id, { status = "running", progress = 0.5, result = "r",
        meta = { 1 }, error = "e", current_step = "s" }))
      assert(JobTracker.cancel_job(id, "soon"))
      local before = JobTracker.get_job(id):to_dict()
      assert(JobTracker.claim_job(id))
      local after = JobTracker.get_job(id):to_dict()
      for _, dict in ipairs({ before, after }) do dict.version, dict.updated_at = nil, nil end
      assert.same(before, after)
      assert(JobTracker.update_job(id, { status = "completed" }))
    end)
  end)

  it("goes on and on: owners that died make room for others", function()
    local count = 600 -- more than twice as many as there may be at a time
    for number = 1, count do
      local id = assert(JobTracker.create_job("owned"))
      local pid = assert(process.fork(function() begin(JobTracker, id) end))
      assert.equal("exit", (process.wait(pid)))
      if number % 50 == 0 then assert.equal(death_of(pid), JobTracker.get_job(id).error) end
    end
    assert.equal(count, JobTracker.stats().failed)
    assert.equal(count, #JobTracker.list_jobs({ status = "failed" }))
  end)

  it("says full to one owner too many, and not when some have died", function()
    local tracker = assert(JobTracker.open(store_file.path(), { size = "4M" }))
    local ids, owners = {}, {}
    for number = 1, 256 do
      ids[number] = assert(tracker.create_job("owned"))
      owners[number] = child.start(function()
        begin(tracker, ids[number])
        process.sleep(60)
      end)
    end
    for _, id in ipairs(ids) do await_running(tracker, id) end
    local more = assert(tracker.create_job("owned"))
    child.run(function()
      local message = expect_code("full", tracker.claim_job(more))
      assert(message:find("256", 1, true), message)
    end)
    assert.equal("pending", tracker.get_job(more).status)
    assert.equal(256, tracker.stats().running)
    owners[17]:kill_dead()
    child.run(function()
      assert(tracker.claim_job(more))
      assert(tracker.update_job(more, { status = "completed" }))
    end)
    assert.equal("failed", tracker.get_job(ids[17]).status)
    assert.equal(255, tracker.stats().running)
    child.end_all()
    assert.equal(256, tracker.stats().failed)
    tracker.close()
  end)

  it("does not keep the room of finished jobs", function()
    child.run(function()
      local tracker = assert(JobTracker.open(store_file.path(), { size = "1M", max_jobs = 10 }))
      for _ = 1, 200 do
        local id = assert(tracker.create_job("owned"))
        assert(tracker.claim_job(id))
        assert(tracker.update_job(id, { status = "completed" }))
      end
      tracker.close()
    end)
  end)

  it("leaves a tracker closable: what it opened is closed once its jobs are finished", function()
    child.run(function()
      local before = process.count_fds()
      for _ = 1, 20 do
        local tracker = assert(JobTracker.open(store_file.path(), { size = "1M" }))
        local id = assert(tracker.create_job("owned"))
        assert(tracker.claim_job(id))
        assert(tracker.update_job(id, { status = "completed" }))
        tracker.close()
      end
      assert.equal(before, process.count_fds())
    end)
  end)

  it("of a dead owner's job that has expired finds nothing", function()
    local tracker = assert(JobTracker.open(store_file.path(), { size = "1M", retention = 0 }))
    local id = assert(tracker.create_job("owned"))
    start_owner(tracker, id):kill_dead()
    tracker.version() -- written off: finished now, and kept no longer
    wait_until(function() return not tracker.get_job(id) end, "the end of the retention")
    expect_code("not_found", tracker.claim_job(id))
    tracker.close()
  end)
end)
