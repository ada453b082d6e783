-- configure: the in-memory store's options, before its first use, and what may
-- change later. Each spec runs in a process of its own, for it is only once
-- that a process uses the store first.

local fresh = require "fresh"
local store_file = require "store_file"
local JobTracker = require("job_tracker").JobTracker

after_each(fresh.end_all)
after_each(store_file.clean)

describe("the in-memory store, unless configured,", function()
  it("has room for 1,000,000 jobs and 1 GiB", function()
    assert.equal("0 1000000 true", fresh.run(function()
      local stats = require("job_tracker").JobTracker.stats()
      local roomy = stats.bytes_used == 0 and stats.bytes_available > 0.9 * 2 ^ 30
      io.write(stats.jobs_used, " ", stats.jobs_available, " ", tostring(roomy))
    end))
  end)

  it("takes memory only as jobs come", function()
    local first, second = fresh.run(function()
      local tracker = require("job_tracker").JobTracker
      local function shared_kilobytes()
        for line in io.lines("/proc/self/status") do
          local number = line:match("^RssShmem:%s*(%d+)")
          if number then return tonumber(number) end
        end
      end
      for _ = 1, 100 do assert(tracker.create_job("few")) end
      io.write(shared_kilobytes(), " ")
      for _ = 1, 20000 do
        local id = assert(tracker.create_job("many"))
        assert(tracker.update_job(id, { status = "completed", result = ("x"):rep(500) }))
      end
      io.write(shared_kilobytes())
    end):match("(%d+) (%d+)")
    assert.is_true(tonumber(first) < 4096, first .. " kB for 100 jobs")
    assert.is_true(tonumber(second) > 10000, second .. " kB for 20,000 jobs")
    assert.is_true(tonumber(second) < 64 * 1024, second .. " kB for 20,000 jobs")
  end)

  it("lets memory stay near what is live", function()
    local kilobytes = fresh.run(function()
      local tracker = require("job_tracker").JobTracker
      local text = ("x"):rep(100000)
      local id = assert(tracker.create_job("live"))
      for _ = 1, 5000 do assert(tracker.update_job(id, { result = text })) end
      for line in io.lines("/proc/self/status") do
        local number = line:match("^RssShmem:%s*(%d+)")
        if number then io.write(number) end
      end
    end)
    assert.is_true(tonumber(kilobytes) < 32 * 1024, kilobytes .. " kB")
  end)
end)

describe("configure before the first use", function()
  it("sets size and max_jobs", function()
    assert.equal("true 10 full true", fresh.run(function()
      local tracker = require("job_tracker").JobTracker
      io.write(tostring(tracker.configure({ size = "2M", max_jobs = 10 })), " ")
      io.write(tracker.stats().jobs_available, " ")
      for _ = 1, 10 do assert(tracker.create_job("a")) end
      local _, _, code = tracker.create_job("a")
      io.write(code, " ", tostring(tracker.stats().bytes_available < 2 ^ 21))
    end))
  end)

  it("may be called again with other sizes as long as nothing was stored", function()
    assert.equal("true true 20", fresh.run(function()
      local tracker = require("job_tracker").JobTracker
      io.write(tostring(tracker.configure({ size = "2M", max_jobs = 10 })), " ")
      io.write(tostring(tracker.configure({ size = "4M", max_jobs = 20 })), " ")
      io.write(tracker.stats().jobs_available)
    end))
  end)

  it("is shared with children forked afterwards", function()
    assert.equal("2", fresh.run(function()
      local tracker = require("job_tracker").JobTracker
      local process = require "process"
      assert(tracker.configure({ size = "1M", max_jobs = 5 }))
      for _ = 1, 2 do
        assert(process.wait(process.fork(function()
          assert(tracker.stats().jobs_available <= 5)
          assert(tracker.create_job("a"))
        end)) == "exit")
      end
      io.write(#tracker.list_jobs())
    end))
  end)

  it("keeps the retention that an earlier call gave when the size changes", function()
    assert.equal("gone", fresh.run(function()
      local tracker = require("job_tracker").JobTracker
      local process = require "process"
      assert(tracker.configure({ retention = 0.05 }))
      assert(tracker.configure({ size = "2M", max_jobs = 10 }))
      local id = tracker.create_job("a")
      assert(tracker.update_job(id, { status = "completed" }))
      local deadline = process.now() + 5
      while tracker.get_job(id) and process.now() < deadline do process.sleep(0.005) end
      io.write(tracker.get_job(id) and "kept" or "gone")
    end))
  end)

  it("leaves the defaults where only retention is given", function()
    assert.equal("true 1000000", fresh.run(function()
      local tracker = require("job_tracker").JobTracker
      io.write(tostring(tracker.configure({ retention = 60 })), " ")
      io.write(tracker.stats().jobs_available)
    end))
  end)
end)

describe("configure of a store in use", function()
  it("takes the same options again, as an nginx reload gives them", function()
    assert.equal("true true 1", fresh.run(function()
      local tracker = require("job_tracker").JobTracker
      local options = { size = "2M", max_jobs = 10, retention = 60 }
      assert(tracker.configure(options))
      assert(tracker.create_job("kept"))
      io.write(tostring(tracker.configure(options)), " ")
      io.write(tostring(tracker.configure({ size = 2097152, max_jobs = 10 })), " ")
      io.write(#tracker.list_jobs())
    end))
  end)

  it("refuses another size or max_jobs with in_use", function()
    assert.equal("in_use in_use in_use 1 10", fresh.run(function()
      local tracker = require("job_tracker").JobTracker
      assert(tracker.configure({ size = "2M", max_jobs = 10 }))
      assert(tracker.create_job("kept"))
      for _, options in ipairs({ { size = "4M" }, { max_jobs = 20 },
        { size = "4M", max_jobs = 10, retention = 1 } }) do
        local result, message, code = tracker.configure(options)
        assert(result == nil and type(message) == "string")
        io.write(code, " ")
      end
      local stats = tracker.stats()
      io.write(#tracker.list_jobs(), " ", stats.jobs_used + stats.jobs_available)
    end))
  end)

  it("refuses another size also in a forked child and after one used it", function()
    assert.equal("in_use", fresh.run(function()
      local tracker = require("job_tracker").JobTracker
      local process = require "process"
      local how, status = process.wait(process.fork(function()
        assert(tracker.create_job("a"))
        assert(select(3, tracker.configure({ size = "4M" })) == "in_use")
      end))
      assert(how == "exit" and status == 0)
      io.write((select(3, tracker.configure({ size = "4M" }))))
    end))
  end)

  it("may change retention at any time", function()
    assert.equal("true gone kept", fresh.run(function()
      local tracker = require("job_tracker").JobTracker
      local process = require "process"
      local id = tracker.create_job("a")
      local open_id = tracker.create_job("a")
      assert(tracker.update_job(id, { status = "completed" }))
      assert(tracker.get_job(id))
      io.write(tostring(tracker.configure({ retention = 0.05 })), " ")
      local deadline = process.now() + 5
      while tracker.get_job(id) and process.now() < deadline do process.sleep(0.005) end
      io.write(tracker.get_job(id) and "kept " or "gone ")
      io.write(tracker.get_job(open_id) and "kept" or "gone")
    end))
  end)
end)

describe("configure of an opened tracker", function()
  it("accepts retention and refuses another size with in_use", function()
    local path = store_file.path()
    local tracker = assert(JobTracker.open(path, { size = "1M", max_jobs = 7 }))
    assert.is_true(tracker.configure({ retention = 3600 }))
    for _, options in ipairs({ { size = "2M" }, { max_jobs = 8 } }) do
      local result, message, code = tracker.configure(options)
      assert.is_nil(result)
      assert.equal("string", type(message))
      assert.equal("in_use", code)
    end
    assert.equal(7, tracker.stats().jobs_available)
    tracker.close()
  end)
end)
