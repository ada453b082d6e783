-- summary(): the jobs counted by task type, how long they took, the last success; on
-- every kind of store.

local child = require "child"
local misuse = require "misuse"
local owners = require "owners"
local store_file = require "store_file"
local JobTracker = require("job_tracker").JobTracker

after_each(function()
  child.end_all()
  JobTracker.clear_jobs()
  store_file.clean()
end)

local BOUNDS = { 0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600 }

-- Seconds since 1970 of a job's time.
local function seconds(time)
  local year, month, day, hour, minute, second =
    time:match("^(%d+)-(%d+)-(%d+)T(%d+):(%d+):([%d.]+)Z$")
  local function at(zone)
    return os.time { year = year, month = month, day = day, hour = 12 + zone, min = 0, sec = 0 }
  end
  local noon = os.date("!*t", at(0))
  return at(12 - noon.hour) + (hour - 12) * 3600 + minute * 60 + tonumber(second)
end

local function create(tracker, task_type, fields)
  local id = assert(tracker.create_job(task_type))
  for _, step in ipairs(fields or {}) do assert(tracker.update_job(id, step)) end
  return tracker.get_job(id)
end

local function near(expected, actual)
  assert.is_true(math.abs(expected - actual) < 1e-5, expected .. " is not " .. actual)
end

local function summary_of(tracker, task_type)
  for _, one in ipairs((tracker.summary())) do
    if one.task_type == task_type then return one end
  end
end

owners.each_kind(function(kind, open)
  describe("summary() " .. kind, function()
    it("is empty without jobs, and has the bounds", function()
      local _, look, _, close = open()
      local types, bounds = look.summary()
      assert.same({}, types)
      assert.same(BOUNDS, bounds)
      close()
    end)

    it("counts by type and status, sorted by type", function()
      local tracker, look, _, close = open()
      local running, completed = { status = "running" }, { status = "completed" }
      create(tracker, "film")
      create(tracker, "film", { running })
      create(tracker, "chapter", { running, completed })
      create(tracker, "chapter", { { status = "failed" } })
      create(tracker, "chapter", { running, { status = "failed" } })
      create(tracker, "chapter.2", { completed })
      create(tracker, "Chapter")
      local counted = {}
      for index, one in ipairs((look.summary())) do
        counted[index] = ("%s %d %d %d %d"):format(one.task_type, one.pending, one.running,
          one.completed, one.failed)
      end
      assert.same({ "Chapter 1 0 0 0", "chapter 0 0 1 2", "chapter.2 0 0 1 0", "film 1 1 0 0" },
        counted)
      close()
    end)

    it("says how long the finished ones took, from their start or creation", function()
      local tracker, look, _, close = open()
      local ran = create(tracker, "film", { { status = "running" }, { progress = 0.5 },
        { status = "completed" } })
      local never_ran = create(tracker, "film", { { progress = 0.5 }, { status = "failed" } })
      create(tracker, "film", { { status = "running" } })
      local took = seconds(ran.finished_at) - seconds(ran.started_at)
        + seconds(never_ran.finished_at) - seconds(never_ran.created_at)
      local film = summary_of(look, "film")
      assert.is_true(film.duration > 0)
      near(took, film.duration)
      assert.equal(#BOUNDS, #film.within)
      assert.equal(2, film.within[#BOUNDS])
      for index = 2, #BOUNDS do assert.is_true(film.within[index] >= film.within[index - 1]) end
      close()
    end)

    it("says when the last one was completed", function()
      local tracker, look, _, close = open()
      create(tracker, "film", { { status = "failed" } })
      assert.is_nil(summary_of(look, "film").last_success)
      create(tracker, "film", { { status = "completed" } })
      local last = create(tracker, "film", { { status = "completed" } })
      create(tracker, "film", { { status = "failed" } })
      near(seconds(last.finished_at), summary_of(look, "film").last_success)
      close()
    end)

    it("counts a dead owner's job as failed", function()
      local tracker, look, _, close = open()
      local id = assert(tracker.create_job("mortal"))
      owners.start(tracker, id):kill_dead()
      local mortal = summary_of(look, "mortal")
      assert.same({ 0, 1, nil }, { mortal.running, mortal.failed, mortal.last_success })
      assert.equal("failed", look.get_job(id).status)
      close()
    end)

    it("has 100 types at most, and counts the others together", function()
      local tracker, look, _, close = open()
      for round = 1, 2 do
        for index = 1, 130 do
          create(tracker, ("type%03d"):format(index), round == 2 and { { status = "failed" } })
        end
      end
      local types = look.summary()
      assert.equal(101, #types)
      for index = 1, 100 do
        assert.matches("^type%d%d%d$", types[index].task_type)
        assert.same({ 1, 1 }, { types[index].pending, types[index].failed })
        if index > 1 then assert.is_true(types[index - 1].task_type < types[index].task_type) end
      end
      assert.equal("(other)", types[101].task_type)
      assert.same({ 30, 30, 30 }, { types[101].pending, types[101].failed,
        types[101].within[#BOUNDS] })
      close()
    end)

    it("leaves out what is past its retention, and what is deleted", function()
      local tracker, look, _, close = open()
      create(tracker, "kept")
      create(tracker, "done", { { status = "completed" } })
      assert(tracker.delete_job(create(tracker, "gone").task_id))
      tracker.configure { retention = 0 }
      assert.same({ "kept" }, { look.summary()[1].task_type, look.summary()[2] })
      tracker.configure { retention = math.huge }
      close()
    end)
  end)
end)

describe("summary()", function()
  it("takes a colon", function()
    create(JobTracker, "film")
    assert.same({ JobTracker.summary() }, { JobTracker:summary() })
  end)

  it("raises on a closed tracker", function()
    local tracker = assert(JobTracker.open(store_file.path(), { size = "1M" }))
    tracker.close()
    misuse(function() local _ = tracker.summary() end, "summary: closed tracker")
  end)
end)
