-- One store, many processes: forked children on the in-memory store, unrelated
-- processes on a file, and what a tracker refuses to open.

local child = require "child"
local fresh = require "fresh"
local process = require "process"
local store_file = require "store_file"
local wait_until = require "wait_until"
local JobTracker = require("job_tracker").JobTracker

local function clear_jobs() JobTracker.clear_jobs() end

before_each(clear_jobs)
after_each(child.end_all)
after_each(fresh.end_all)
after_each(clear_jobs)
after_each(store_file.clean)

describe("forked children share the in-memory store:", function()
  it("each sees what the other does", function()
    local id = JobTracker.create_job("parent")
    child.run(function()
      assert(JobTracker.get_job(id).status == "pending")
      assert(JobTracker.update_job(id, { status = "running", meta = { "from", "child" } }))
      assert(JobTracker.create_job("child"))
    end)
    local job = JobTracker.get_job(id)
    assert.same({ "running", { "from", "child" } }, { job.status, job.meta })
    assert.equal(1, #JobTracker.list_jobs({ task_type = "child" }))
    child.run(function() assert(JobTracker.delete_job(id)) end)
    assert.is_nil((JobTracker.get_job(id)))
  end)

  it("grandchildren and siblings too", function()
    local id = JobTracker.create_job("family")
    child.run(function()
      child.run(function()
        assert(JobTracker.update_job(id, { current_step = "grandchild was here" }))
      end)
    end)
    child.run(function()
      assert(JobTracker.get_job(id).current_step == "grandchild was here")
    end)
  end)

  it("many write at once and nothing is lost", function()
    local children = {}
    for number = 1, 6 do
      children[number] = child.start(function()
        for count = 1, 300 do
          local id = assert(JobTracker.create_job("worker" .. number))
          assert(JobTracker.update_job(id, { meta = { count = count } }))
          if count % 3 == 0 then assert(JobTracker.delete_job(id)) end
        end
      end)
    end
    for _, one in ipairs(children) do one:finish() end
    for number = 1, 6 do
      local jobs = JobTracker.list_jobs({ task_type = "worker" .. number })
      assert.equal(200, #jobs)
      local expected = 299
      for _, job in ipairs(jobs) do
        assert.equal(expected, job.meta.count)
        expected = expected - (expected % 3 == 1 and 2 or 1)
      end
    end
    assert.equal(1200, JobTracker.stats().jobs_used)
  end)

  it("from the first require on, though nothing was called before the fork", function()
    assert.equal("found", fresh.run(function()
      local tracker = require("job_tracker").JobTracker
      local processes = require "process"
      local pid = processes.fork(function() assert(tracker.create_job("early")) end)
      assert(processes.wait(pid) == "exit")
      io.write(#tracker.list_jobs({ task_type = "early" }) == 1 and "found" or "lost")
    end))
  end)

  it("but unrelated processes have stores of their own", function()
    local id = JobTracker.create_job("mine")
    assert.equal("nil 0", fresh.run(function(job_id)
      local tracker = require("job_tracker").JobTracker
      io.write(tostring((tracker.get_job(job_id))), " ", #tracker.list_jobs())
    end, id))
  end)
end)

describe("ids", function()
  it("are unique over 200,000 creates in several processes", function()
    local children = {}
    for number = 1, 4 do
      children[number] = child.start(function()
        for _ = 1, 50000 do assert(JobTracker.create_job("unique")) end
      end)
    end
    for _, one in ipairs(children) do one:finish(60) end
    local seen, count = {}, 0
    for _, job in ipairs(JobTracker.list_jobs()) do
      assert(not seen[job.task_id], "twice: " .. job.task_id)
      seen[job.task_id] = true
      count = count + 1
    end
    assert.equal(200000, count)
    assert.equal(200000, JobTracker.stats().pending)
  end)

  it("are drawn differently in forked children, whatever the parent drew before", function()
    local seen = {}
    for _ = 1, 6 do
      JobTracker.create_job("parent")
      local folder = store_file.folder()
      for number = 1, 3 do
        child.run(function()
          local tracker = assert(JobTracker.open(folder .. "/" .. number, { size = "1M" }))
          for _ = 1, 10 do assert(tracker.create_job("a")) end
          tracker.close()
        end)
      end
      for number = 1, 3 do
        local tracker = assert(JobTracker.open(folder .. "/" .. number, { readonly = true }))
        for _, job in ipairs(tracker.list_jobs()) do
          assert.is_nil(seen[job.task_id], "drawn twice: " .. job.task_id)
          seen[job.task_id] = true
        end
        tracker.close()
      end
    end
  end)
end)

describe("unrelated processes share a file:", function()
  it("one writes and one only reads", function()
    local path = store_file.path()
    local writer = assert(JobTracker.open(path, { size = "1M" }))
    local id = writer.create_job("shared")
    local reading = fresh.start(function(file, job_id)
      local tracker = assert(require("job_tracker").JobTracker.open(file, { readonly = true }))
      local job = assert(tracker.get_job(job_id))
      local seen = 0
      while job.status ~= "completed" do
        job = assert(tracker.wait_job(job_id, { after = job.version, timeout = 20 }))
        assert(job.current_step == "step " .. job.meta.step)
        assert(job.progress == job.meta.step / 1000)
        seen = seen + 1
      end
      io.write(job.result, " ", seen > 0 and "seen" or "missed")
    end, path, id)
    wait_until(function() return child.sleeps(reading.pid) end, "the reader")
    for step = 1, 1000 do
      assert(writer.update_job(id, { progress = step / 1000, current_step = "step " .. step,
        meta = { step = step } }))
    end
    assert(writer.update_job(id, { status = "completed", result = "the end" }))
    assert.equal("the end seen", reading:finish())
    writer.close()
  end)

  it("several write", function()
    local path = store_file.path()
    local tracker = assert(JobTracker.open(path, { size = "4M" }))
    local function write(file, number)
      local own = assert(require("job_tracker").JobTracker.open(file))
      for count = 1, 500 do
        local id = assert(own.create_job("writer" .. number))
        assert(own.update_job(id, { meta = count }))
      end
    end
    local first, second = fresh.start(write, path, 1), fresh.start(write, path, 2)
    first:finish()
    second:finish()
    for number = 1, 2 do
      local jobs = tracker.list_jobs({ task_type = "writer" .. number })
      assert.equal(500, #jobs)
      for index, job in ipairs(jobs) do assert.equal(501 - index, job.meta) end
    end
    tracker.close()
  end)

  it("jobs outlive every process that had the file open", function()
    local path = store_file.path()
    local id = fresh.run(function(file)
      local tracker = assert(require("job_tracker").JobTracker.open(file, { size = "1M" }))
      local created = assert(tracker.create_job("lasting"))
      assert(tracker.update_job(created, { status = "running", result = { "kept" } }))
      io.write(created)
    end, path)
    local tracker = assert(JobTracker.open(path))
    local job = tracker.get_job(id)
    assert.same({ "running", { "kept" } }, { job.status, job.result })
    assert.same({ 0, 1 }, { tracker.stats().damaged, tracker.stats().running })
    tracker.close()
  end)

  it("many may open a new file at the same moment", function()
    for _ = 1, 10 do
      local path, children = store_file.path(), {}
      for number = 1, 6 do
        children[number] = child.start(function()
          local tracker = assert(JobTracker.open(path, { size = "1M" }))
          assert(tracker.create_job("racing"))
          tracker.close()
        end)
      end
      for _, one in ipairs(children) do one:finish() end
      local tracker = assert(JobTracker.open(path))
      assert.equal(6, #tracker.list_jobs())
      tracker.close()
    end
  end)

end)

describe("Lua 5.4 and LuaJIT", function()
  -- Source and not a function of this file: bytecode is of one Lua.
  local PROGRAM = [[
    local tracker = assert(require("job_tracker").JobTracker.open((...)))
    for _, job in ipairs(tracker.list_jobs({ task_type = "question" })) do
      assert(tracker.update_job(job.task_id, { status = "running", result = job.meta }))
    end
    assert(tracker.create_job("answer"))
  ]]

  ---The other Lua's interpreter and module path; nil where it is not built.
  local function other_lua()
    local own = assert(package.searchpath("job_tracker", package.cpath))
    local build, abi = own:match("^(.*)/([^/]*)/job_tracker%.so$")
    local other = abi == "5.4" and "luajit" or "5.4"
    if not build or not store_file.exists(build .. "/" .. other .. "/job_tracker.so") then
      return nil
    end
    return other == "5.4" and "lua5.4" or "luajit", build .. "/" .. other .. "/?.so"
  end

  it("share a file: each reads what the other wrote", function()
    local interpreter, cpath = other_lua()
    if not interpreter then pending("the module is built for one Lua only") end
    local path, program = store_file.path(), store_file.folder() .. "/program.lua"
    local tracker = assert(JobTracker.open(path, { size = "1M" }))
    local id = assert(tracker.create_job("question"))
    local meta = { 2 ^ 52, 0.1, "\0\1", { a = {} }, { false }, -7 }
    assert(tracker.update_job(id, { meta = meta }))
    store_file.write(program, PROGRAM)
    local pid = assert(process.spawn({ interpreter, program, path,
      env = { LUA_CPATH = cpath } }))
    assert.same({ "exit", 0 }, { process.wait(pid, 30) })
    local job = tracker.get_job(id)
    assert.equal("running", job.status)
    assert.same(meta, job.meta)
    assert.same(meta, job.result)
    assert.equal(1, #tracker.list_jobs({ task_type = "answer" }))
    tracker.close()
  end)
end)

describe("a read-only tracker", function()
  local path, writer, reader, task_id

  before_each(function()
    path = store_file.path()
    writer = assert(JobTracker.open(path, { size = "1M" }))
    task_id = assert(writer.create_job("shared"))
    reader = assert(JobTracker.open(path, { readonly = true }))
  end)

  after_each(function()
    reader.close()
    writer.close()
  end)

  it("reads like any other", function()
    assert(writer.update_job(task_id, { status = "completed", meta = { 1 } }))
    assert.is_true(reader.get_job(task_id) == writer.get_job(task_id))
    assert.equal((writer.get_json(task_id)), (reader.get_json(task_id)))
    assert.same(writer.stats(), reader.stats())
    assert.equal(task_id, reader.list_jobs({ status = "completed" })[1].task_id)
    assert.equal(task_id, reader.wait_job(task_id).task_id)
    assert.is_nil((reader.get_job("unknown_00000000")))
  end)

  it("answers every changing call with readonly", function()
    local before = writer.stats()
    for name, call in pairs({
      create_job = function() return reader.create_job("a") end,
      update_job = function() return reader.update_job(task_id, { progress = 0.5 }) end,
      claim_job = function() return reader.claim_job(task_id) end,
      cancel_job = function() return reader.cancel_job(task_id, "r") end,
      delete_job = function() return reader.delete_job(task_id) end,
      clear_jobs = function() return reader.clear_jobs() end,
      configure = function() return reader.configure({ retention = 1 }) end,
    }) do
      local result, message, code = call()
      assert.is_nil(result, name)
      assert.equal("string", type(message), name)
      assert.equal("readonly", code, name)
    end
    assert.same(before, writer.stats())
    assert.equal("pending", writer.get_job(task_id).status)
  end)

  it("cannot write into the jobs: its mapping is read-only", function()
    writer.close()
    local jobs_may_be_written = false
    for line in io.lines("/proc/self/maps") do
      local from, to, rights = line:match("^(%x+)%-(%x+) (%S+)")
      if line:find(path, 1, true) and rights:find("w", 1, true) then
        jobs_may_be_written = jobs_may_be_written
          or tonumber(to, 16) - tonumber(from, 16) > 4096 -- the page of the waiting
      end
    end
    assert.is_false(jobs_may_be_written)
    writer = assert(JobTracker.open(path))
  end)

  it("does not make a file", function()
    local missing = store_file.path()
    local tracker, message, code = JobTracker.open(missing, { readonly = true })
    assert.is_nil(tracker)
    assert.matches(missing, message, 1, true)
    assert.equal("io", code)
    assert.is_false(store_file.exists(missing))
  end)

  it("leaves the file as it is, but for the page on which it says that it waits", function()
    local function all_but_second_page()
      local bytes = store_file.read(path)
      return bytes:sub(1, 4096) .. bytes:sub(8193)
    end
    reader.close()
    writer.close()
    local before = all_but_second_page()
    reader = assert(JobTracker.open(path, { readonly = true }))
    reader.list_jobs()
    reader.get_json(task_id)
    reader.wait_job(task_id, { timeout = 0 })
    reader.create_job("a")
    reader.close()
    local same = before == all_but_second_page()
    reader = assert(JobTracker.open(path, { readonly = true }))
    writer = assert(JobTracker.open(path))
    assert.is_true(same)
  end)
end)

describe("a job that grows and shrinks all the time", function()
  ---Starts a child that changes the size of the job's texts for ever.
  local function start_writing(tracker, id)
    local writer = child.start(function()
      local count = 0
      while true do
        count = count + 1
        local text = ("x"):rep(count * 97 % 20000)
        assert(tracker.update_job(id, { current_step = text:sub(1, 4096), error = text }))
      end
    end)
    wait_until(function() return tracker.get_job(id).error end, "the first text")
    return writer
  end

  local function check(job) assert(job.current_step == job.error:sub(1, 4096), "torn") end

  it("can always be read whole", function()
    local id = JobTracker.create_job("restless")
    local writer = start_writing(JobTracker, id)
    for count = 1, 5000 do
      check(assert(JobTracker.get_job(id)))
      assert(JobTracker.get_json(id))
      if count % 50 == 0 then check(assert(JobTracker.list_jobs())[1]) end
    end
    writer:kill_dead()
  end)

  it("is read whole or not at all by a read-only tracker, which then says busy", function()
    local path = store_file.path()
    local tracker = assert(JobTracker.open(path, { size = "1M" }))
    local id = tracker.create_job("restless")
    local writer = start_writing(tracker, id)
    local reader = assert(JobTracker.open(path, { readonly = true }))
    local reads = 0
    for _ = 1, 3000 do
      local job, message, code = reader.get_job(id)
      if job then
        check(job)
        reads = reads + 1
      else
        assert.same({ "string", "busy" }, { type(message), code })
      end
    end
    assert.is_true(reads > 0)
    writer:kill_dead()
    reader.close()
    tracker.close()
  end)
end)

describe("a process in another pid namespace", function()
  local function open_there(path, how)
    return fresh.start_by({ "unshare", "-p", "-f" }, function(file, mode)
      local tracker, message, code = require("job_tracker").JobTracker.open(file,
        { readonly = mode == "read" })
      if tracker then
        io.write("opened, ", #tracker.list_jobs(), " job")
      else
        io.write(code, ": ", message)
      end
    end, path, how):finish()
  end

  local function need_namespaces()
    local pid = process.spawn({ "unshare", "-p", "-f", "true", stderr = "/dev/null" })
    local how, code = process.wait(assert(pid))
    if how ~= "exit" or code ~= 0 then
      pending("a pid namespace cannot be made here (that needs root)")
    end
  end

  it("may read but is refused as a writer", function()
    need_namespaces()
    local path = store_file.path()
    local tracker = assert(JobTracker.open(path, { size = "1M" }))
    assert(tracker.create_job("a"))
    local said = open_there(path, "write")
    assert.matches("^incompatible: ", said)
    assert.matches("namespace", said, 1, true)
    assert.equal("opened, 1 job", open_there(path, "read"))
    assert.is_truthy(tracker.create_job("a"))
    tracker.close()
  end)
end)
