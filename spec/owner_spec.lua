-- Owners: who may claim a job, and that neither a living owner's job nor one that
-- nobody claimed is ever taken for a dead one's. (What is: death_spec.)

local child = require "child"
local fresh = require "fresh"
local owners = require "owners"
local process = require "process"
local store_file = require "store_file"
local wait_until = require "wait_until"
local JobTracker = require("job_tracker").JobTracker

local STEP, death_of, expect_code = owners.STEP, owners.death_of, owners.expect_code
local begin, await_running = owners.begin, owners.await_running

before_each(function() JobTracker.clear_jobs() end)

after_each(function()
  child.end_all()
  fresh.end_all()
  JobTracker.clear_jobs()
  store_file.clean()
end)

---Describes a behaviour for each kind of store.
---@param body fun(get: fun(): table, table, boolean) 'get' returns the owner's
---tracker, that of who looks, and whether that one may write
local function describe_each(what, body)
  owners.each_kind(function(kind, open)
    describe(what .. " (" .. kind .. ")", function()
      local owner, look, may_write, close
      before_each(function() owner, look, may_write, close = open() end)
      after_each(function()
        child.end_all()
        close()
      end)
      body(function() return owner, look, may_write end)
    end)
  end)
end

describe("a living owner's job is never failed", function()
  ---Looks in all ways until the job 'enough' is completed; a dead owner is an error.
  local function start_looking(look, ids, enough)
    return child.start(function()
      local rounds = 0
      while look.get_job(enough).status ~= "completed" do
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
      -- The owners end after those who look: an end is a death.
      local enough, stop = tracker.create_job("enough"), tracker.create_job("stop")
      local ids, workers = {}, {}
      for index = 1, 3 do
        ids[index] = assert(tracker.create_job("owned"))
        workers[index] = child.start(function()
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
      local looking = { start_looking(look, ids, enough), start_looking(look, ids, enough) }
      process.sleep(1.5) -- so long is the storm
      assert(tracker.update_job(enough, { status = "completed" }))
      for _, one in ipairs(looking) do one:finish() end
      assert(tracker.update_job(stop, { status = "completed" }))
      for index, id in ipairs(ids) do
        workers[index]:finish()
        assert.equal("failed", look.get_job(id).status) -- now it has ended
      end
      look.close()
      tracker.close()
    end)
  end

  it("while the owner is stopped", function()
    local id = assert(JobTracker.create_job("owned"))
    local owner = owners.start(JobTracker, id)
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
    local owner = owners.start(tracker, id)
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
    local ids, workers = {}, {}
    for number = 1, 256 do
      ids[number] = assert(tracker.create_job("owned"))
      workers[number] = child.start(function()
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
    workers[17]:kill_dead()
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
    local path = store_file.path()
    child.run(function()
      local tracker = assert(JobTracker.open(path, { size = "1M", max_jobs = 10 }))
      for _ = 1, 200 do
        local id = assert(tracker.create_job("owned"))
        assert(tracker.claim_job(id))
        assert(tracker.update_job(id, { status = "completed" }))
      end
      tracker.close()
    end)
  end)

  it("leaves a tracker closable: what it opened is closed once its jobs are finished", function()
    local path = store_file.path()
    child.run(function()
      local before = process.count_fds()
      for _ = 1, 20 do
        local tracker = assert(JobTracker.open(path, { size = "1M" }))
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
    owners.start(tracker, id):kill_dead()
    tracker.version() -- written off: finished now, and kept no longer
    wait_until(function() return not tracker.get_job(id) end, "the end of the retention")
    expect_code("not_found", tracker.claim_job(id))
    tracker.close()
  end)
end)
