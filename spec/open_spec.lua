-- open and close: the options, the file that comes of them, and everything
-- that is refused rather than opened.

local child = require "child"
local fresh = require "fresh"
local misuse = require "misuse"
local process = require "process"
local store_file = require "store_file"
local JobTracker = require("job_tracker").JobTracker

after_each(child.end_all)
after_each(fresh.end_all)
after_each(store_file.clean)

local function expect_refused(path, options, codes)
  local tracker, message, code = JobTracker.open(path, options)
  if tracker then tracker.close() end
  assert.is_nil(tracker, "opened " .. path)
  assert.equal("string", type(message))
  assert.matches(path, message, 1, true)
  assert.is_truthy((" " .. codes .. " "):find(" " .. tostring(code) .. " ", 1, true),
    "expected " .. codes .. ", got " .. tostring(code) .. ": " .. message)
  return message
end

local function expect_refused_both_ways(path, codes)
  expect_refused(path, {}, codes)
  expect_refused(path, { readonly = true }, codes)
end

describe("a new store file", function()
  it("has the size asked for, in bytes or with a unit", function()
    for size, bytes in pairs({ [1048576] = 1048576, ["1048576"] = 1048576, ["1024K"] = 1048576,
      ["2M"] = 2097152, ["3m"] = 3145728 }) do
      local path = store_file.path()
      assert(JobTracker.open(path, { size = size })).close()
      assert.equal(tostring(bytes), store_file.stat("%s", path))
    end
  end)

  it("has 64 MiB unless told otherwise", function()
    local path = store_file.path()
    assert(JobTracker.open(path)).close()
    assert.equal("67108864", store_file.stat("%s", path))
  end)

  it("has its room reserved on the disk", function()
    local path = store_file.path()
    assert(JobTracker.open(path, { size = "2M" })).close()
    assert.is_true(tonumber(store_file.stat("%b", path)) * 512 >= 2097152)
  end)

  it("is the owner's alone unless told otherwise", function()
    local path = store_file.path()
    assert(JobTracker.open(path, { size = "1M" })).close()
    assert.equal("600 regular file", store_file.stat("%a %F", path))
  end)

  it("has the permission bits asked for", function()
    for _, mode in ipairs({ "0640", "0600", "640", "0644" }) do
      local path = store_file.path()
      assert(JobTracker.open(path, { size = "1M", mode = mode })).close()
      assert.equal(mode:gsub("^0", ""), store_file.stat("%a", path))
    end
  end)

  it("has room for max_jobs", function()
    local tracker = assert(JobTracker.open(store_file.path(), { size = "1M", max_jobs = 7 }))
    local stats = tracker.stats()
    assert.same({ 0, 7 }, { stats.jobs_used, stats.jobs_available })
    tracker.close()
  end)

  it("is not begun where the rest of its options would not do", function()
    for option, value in pairs({ max_jobs = 10000000, size = 26000 }) do
      local path = store_file.path()
      local message = expect_refused(path, { [option] = value }, "incompatible")
      assert.matches("size must be at least %d+ bytes for max_jobs %d+, got %d+", message)
      assert.equal(option == "max_jobs", message:find(", the default$") ~= nil, message)
      assert.is_nil(io.open(path), "a file was left behind")
    end
  end)
end)

describe("an existing store file", function()
  it("keeps its size, jobs and permission bits", function()
    local path = store_file.path()
    local tracker = assert(JobTracker.open(path, { size = "1M", max_jobs = 7, mode = "0640" }))
    local id = tracker.create_job("kept")
    tracker.close()
    tracker = assert(JobTracker.open(path))
    assert.equal(id, tracker.get_job(id).task_id)
    assert.same({ 1, 6 }, { tracker.stats().jobs_used, tracker.stats().jobs_available })
    tracker.close()
    assert.equal("1048576 640", store_file.stat("%s %a", path))
  end)

  it("may be open several times in a process", function()
    local path = store_file.path()
    local one = assert(JobTracker.open(path, { size = "1M" }))
    local two = assert(JobTracker.open(path))
    local three = assert(two.open(path, { readonly = true }))
    local id = one.create_job("a")
    assert(two.update_job(id, { status = "running" }))
    one.close()
    assert.equal("running", three.get_job(id).status)
    two.close()
    assert.equal("running", three.get_job(id).status)
    three.close()
  end)

  it("never changes its shape: asking for another one is refused", function()
    local path = store_file.path()
    assert(JobTracker.open(path, { size = "1M", max_jobs = 7 })).close()
    expect_refused(path, { size = "2M" }, "incompatible")
    expect_refused(path, { max_jobs = 8 }, "incompatible")
    assert.equal("1048576", store_file.stat("%s", path))
    local tracker = assert(JobTracker.open(path, { size = 1048576, max_jobs = 7 }))
    assert.equal(7, tracker.stats().jobs_available)
    tracker.close()
  end)

  it("may be opened by a relative path", function()
    local folder = store_file.folder()
    assert.equal("2", fresh.run(function(where)
      local old = io.popen("pwd"):read("*l")
      local up = old:gsub("[^/]+", "..")
      local relative = up:gsub("^/", "") .. where
      local tracker = assert(require("job_tracker").JobTracker.open(relative .. "/jobs",
        { size = "1M" }))
      assert(tracker.create_job("a"))
      assert(tracker.create_job("a"))
      io.write(tracker.stats().pending)
    end, folder))
    assert.is_true(store_file.exists(folder .. "/jobs"))
  end)
end)

describe("open refuses", function()
  it("a symbolic link", function()
    local path = store_file.path()
    assert(JobTracker.open(path, { size = "1M" })).close()
    assert.is_truthy(os.execute("ln -s '" .. path .. "' '" .. path .. ".link'"))
    expect_refused_both_ways(path .. ".link", "io")
    local target = store_file.path()
    assert.is_truthy(os.execute("ln -s '" .. target .. "' '" .. path .. ".new'"))
    expect_refused_both_ways(path .. ".new", "io")
    assert.is_false(store_file.exists(target))
  end)

  it("a fifo, without blocking", function()
    local path = store_file.path()
    assert.is_truthy(os.execute("mkfifo '" .. path .. "'"))
    child.run(function() expect_refused_both_ways(path, "io incompatible corrupt") end, 5)
  end)

  it("a directory", function()
    expect_refused_both_ways(store_file.folder(), "io incompatible corrupt")
  end)

  it("a device", function()
    expect_refused_both_ways("/dev/null", "io incompatible corrupt")
  end)

  it("a path in a folder that is not there", function()
    expect_refused_both_ways(store_file.folder() .. "/missing/jobs.store", "io")
  end)

  it("a path in a folder where nobody may write", function()
    local message = expect_refused("/proc/jobs.store", {}, "io")
    assert.is_true(#message > #"/proc/jobs.store")
    expect_refused("/sys/jobs.store", { size = "1M" }, "io")
  end)

  it("a path that is too long", function()
    local path = "/tmp/" .. ("x"):rep(300)
    local tracker, message, code = JobTracker.open(path)
    assert.is_nil(tracker)
    assert.equal("string", type(message))
    assert.equal("io", code)
  end)

  it("a file that is something else, and leaves it as it was", function()
    local numbers = require("random").new(7)
    for _, bytes in ipairs({ "x", "some text\n", ("#!/bin/sh\n"):rep(1000), ("\0"):rep(7),
      "SQLite format 3\0" .. ("\0"):rep(8176), numbers:bytes(70000) }) do
      local path = store_file.path()
      store_file.write(path, bytes)
      expect_refused_both_ways(path, "corrupt incompatible not_ready")
      assert.is_true(store_file.read(path) == bytes)
    end
  end)

  it("a store of another version, and names both", function()
    local path = store_file.path()
    assert(JobTracker.open(path, { size = "1M" })).close()
    local layout = store_file.read(path):sub(9, 12) -- its version, after the magic
    assert.equal("\0\0\0", layout:sub(2))
    local own = layout:byte(1)
    assert.is_true(own > 0 and own < 77)
    store_file.patch(path, 8, "\77\0\0\0")
    for _, options in ipairs({ {}, { readonly = true } }) do
      local message = expect_refused(path, options, "incompatible")
      assert.matches("%f[%d]77%f[%D]", message)
      assert.matches("%f[%d]" .. own .. "%f[%D]", message:gsub(path, "", 1))
    end
  end)
end)

describe("close", function()
  it("makes every later call raise 'closed tracker'", function()
    local tracker = assert(JobTracker.open(store_file.path(), { size = "1M" }))
    local id = tracker.create_job("a")
    tracker.close()
    misuse(function() tracker.create_job("a") end, "closed tracker")
    misuse(function() tracker.update_job(id, { progress = 1 }) end, "closed tracker")
    misuse(function() tracker.get_job(id) end, "closed tracker")
    misuse(function() tracker:get_job(id) end, "closed tracker")
    misuse(function() tracker.delete_job(id) end, "closed tracker")
    misuse(function() tracker.clear_jobs() end, "closed tracker")
    misuse(function() tracker.list_jobs() end, "closed tracker")
    misuse(function() tracker.wait_job(id, { timeout = 0 }) end, "closed tracker")
    misuse(function() tracker.get_json(id) end, "closed tracker")
    misuse(function() tracker.stats() end, "closed tracker")
    misuse(function() tracker.configure({ retention = 1 }) end, "closed tracker")
  end)

  it("leaves the jobs that were fetched before", function()
    local tracker = assert(JobTracker.open(store_file.path(), { size = "1M" }))
    local id = tracker.create_job("a")
    assert(tracker.update_job(id, { meta = { "m" }, result = ("r"):rep(10000) }))
    local job, listed = tracker.get_job(id), tracker.list_jobs()[1]
    tracker.close()
    collectgarbage()
    assert.same({ "m" }, job.meta)
    assert.equal(10000, #job.result)
    assert.is_true(job == listed)
    assert.equal(job:to_json(), listed:to_json())
  end)

  it("leaves other trackers of the file and the in-memory store alone", function()
    local path = store_file.path()
    local one = assert(JobTracker.open(path, { size = "1M" }))
    local two = assert(JobTracker.open(path))
    one.close()
    assert.is_truthy(two.create_job("a"))
    assert.is_truthy(JobTracker.create_job("a"))
    JobTracker.clear_jobs()
    two.close()
  end)
end)

describe("opening and closing", function()
  local function maps_of(path)
    local count = 0
    for line in io.lines("/proc/self/maps") do
      if line:find(path, 1, true) then count = count + 1 end
    end
    return count
  end

  it("leaves no descriptor and no mapping behind", function()
    local path = store_file.path()
    assert(JobTracker.open(path, { size = "1M" })).close()
    local before = process.count_fds()
    for _ = 1, 50 do
      assert(JobTracker.open(path)).close()
      assert(JobTracker.open(path, { readonly = true })).close()
      assert.is_nil((JobTracker.open(path .. ".missing", { readonly = true })))
      assert.is_nil((JobTracker.open("/dev/null")))
    end
    assert.equal(before, process.count_fds())
    assert.equal(0, maps_of(path))
  end)

  it("leaves none behind either when the tracker is forgotten", function()
    local path = store_file.path()
    assert(JobTracker.open(path, { size = "1M" })).close()
    local before = process.count_fds()
    for _ = 1, 20 do assert(JobTracker.open(path)).create_job("a") end
    collectgarbage()
    collectgarbage()
    assert.equal(before, process.count_fds())
    assert.equal(0, maps_of(path))
  end)
end)
