-- Pipelines in a worker of nginx: all that the specs beside this one say of runs holds there
-- too, in a timer; and a worker's queue with nginx's own timers.

local cjson = require "cjson"
local nginx_server = require "nginx_server"
local owners = require "owners"
local process = require "process"
local status_server = require "status_server"
local store_file = require "store_file"
local wait_until = require "wait_until"
local JobTracker = require("job_tracker").JobTracker

local FILES = { "spec/job_tracker/pipeline_spec.lua", "spec/job_tracker/pipeline_meta_spec.lua",
                "spec/job_tracker/pipeline_parallel_spec.lua" }

-- What cannot be tried there, and why.
local EXCLUDED = {
  ["a wish to cancel ends the wait before a retry at once"] = "it forks, which a worker cannot",
  ["a run ends with Ctrl-C, and is not tried again"] = "a worker leaves signals to nginx",
  ["a run owns its job: killed, it is seen as failed in its step"] = "it forks, too",
}

-- What the worker needs to find the specs' modules.
local INIT = ([[
  package.path = "%s/spec/support/?.lua;" .. package.path
  package.cpath = "%s/luajit/support/?.so;" .. package.cpath
]]):format(nginx_server.root, nginx_server.build)

-- The names of the tests in the files, as busted lists them.
local function names_of_all()
  local pipe = assert(io.popen(('%s "$(command -v busted)" --list %s'):format(
    os.getenv("LUA"), table.concat(FILES, " "))))
  local names = {}
  for line in pipe:lines() do
    names[#names + 1] = assert(line:match("^spec/[^:]*_spec%.lua:%d+: (.*)$"), line)
  end
  pipe:close()
  return names
end

-- Runs the files in a worker, and returns what became of each test.
local function run_in_nginx()
  local server = status_server.start { workers = 1, init = INIT, main = "user root;",
    server = ("location = /run { content_by_lua_block { require('busted_in_nginx').answer(%q) } }")
      :format(cjson.encode { files = FILES, excluded = EXCLUDED }) }
  local answer = server:request("/run", "--max-time", "70").body
  server:stop()
  local read, outcomes = pcall(cjson.decode, answer)
  assert(read, answer .. server:log())
  return outcomes
end

after_each(function()
  status_server.stop_all()
  store_file.clean()
end)

describe("in a worker of nginx:", function()
  local outcomes, count = nil, 0

  setup(function() outcomes = run_in_nginx() end)

  local function outcome_of(name)
    for _, outcome in ipairs(outcomes) do
      if outcome.name == name then return outcome end
    end
    error("not run there: " .. name)
  end

  for _, name in ipairs(names_of_all()) do
    if not EXCLUDED[name] then
      count = count + 1
      it(name, function()
        local outcome = outcome_of(name)
        assert(outcome.status == "success", outcome.message or outcome.status)
      end)
    end
  end

  it("nothing else fails, and only what is named here is left out", function()
    for _, outcome in ipairs(outcomes) do
      assert(outcome.status == "success", outcome.name .. ": " .. tostring(outcome.message))
    end
    assert.equal(count, #outcomes)
    local excluded = 0
    for _ in pairs(EXCLUDED) do excluded = excluded + 1 end
    assert.equal(#names_of_all(), count + excluded)
  end)
end)

describe("pipeline:start in nginx", function()
  local path, jobs, server

  -- Each POST starts a job that pauses for so many seconds, unless the body has other Lua text.
  local function start(options)
    options.store, options.workers = path, 1
    options.init = [[
      local pipeline = require "job_tracker.pipeline"
      pipeline.configure { runners = 2, queue = 3 }
      local started
      local function start(request)
        started = started or pipeline.new { task_type = "paused", tracker =
          require("resty.job_tracker").tracker(), steps = { { name = "pausing",
            run = function(context, step)
              if context.input.exits then ngx.exit(ngx.OK) end
              if context.input.raises then error("out of paper") end
              step:pause(context.input.seconds)
              return context.input.seconds
            end } }, on_error = function(_, context) ngx.sleep(context.input.mourns or 0) end }
        return started:start(request.json)
      end
    ]]
    options.setup = "list = true, cancel = true, on_create = start"
    server = status_server.start(options)
  end

  local function post(seconds, input)
    input = input or {}
    input.seconds = seconds
    return server:request("/jobs", "--header", "Content-Type: application/json", "--data",
      cjson.encode(input))
  end

  local function create(seconds, input)
    local response = post(seconds, input)
    assert.equal(202, response.status)
    return cjson.decode(response.body).task_id
  end

  local function await(id, status)
    wait_until(function() return jobs.get_job(id).status == status end, id .. " to be " .. status)
    return jobs.get_job(id)
  end

  local function cancel(id)
    assert.equal(202, server:request("/jobs/" .. id .. "/cancel", "--request", "POST").status)
  end

  before_each(function()
    path = store_file.path()
    jobs = assert(JobTracker.open(path, { size = "1M" }))
  end)

  after_each(function()
    status_server.stop_all()
    jobs.close()
  end)

  it("runs the job while its worker answers others, and ends it when it is cancelled", function()
    start {}
    local workers = server:workers()
    local id = create(600)
    await(id, "running")
    local response = server:request("/jobs/" .. id)
    assert.equal(200, response.status)
    assert.equal("pausing", cjson.decode(response.body).current_step)
    cancel(id)
    assert.equal("cancelled: on request", await(id, "failed").error)
    status_server.expect_unharmed(server, workers)
  end)

  it("runs two at a time, and refuses what cannot wait, without a job", function()
    start {}
    local ids = {}
    for index = 1, 5 do ids[index] = create(600) end
    await(ids[1], "running")
    await(ids[2], "running")
    assert.equal(429, post(600).status)
    assert.equal(5, jobs.stats().jobs_used)
    assert.equal(3, jobs.stats().pending)
    cancel(ids[1])
    await(ids[3], "running")
    assert.equal(3, jobs.stats().pending + jobs.stats().failed)
    create(600)
  end)

  it("runs all that was started, in turn", function()
    start {}
    local ids = {}
    for index = 1, 5 do ids[index] = create(0.02) end
    for _, id in ipairs(ids) do assert.equal(0.02, await(id, "completed").result) end
    for index = 2, 5 do
      assert.is_true(jobs.get_job(ids[index]).started_at > jobs.get_job(ids[index - 1]).started_at)
    end
  end)

  it("ends a job that is cancelled while it waits, without running it", function()
    start {}
    for _ = 1, 2 do await(create(600), "running") end
    local id = create(600)
    assert.equal("pending", jobs.get_job(id).status)
    cancel(id)
    local job = await(id, "failed")
    assert.equal("cancelled: on request", job.error)
    assert.is_nil(job.started_at)
    assert.equal("skipped", job.meta.steps[1].status)
  end)

  it("does so also where nginx has no timer to spare", function()
    start { http = "lua_max_running_timers 3;" } -- the two runners, and the poller of streams
    for _ = 1, 2 do await(create(600), "running") end
    local id = create(600)
    cancel(id)
    assert.equal("cancelled: on request", await(id, "failed").error)
  end)

  it("loses no runner to a step that calls ngx.exit, and fails its job", function()
    start {}
    local ids = {}
    for index = 1, 2 do ids[index] = create(0, { exits = true }) end
    local id = create(0.01)
    for index = 1, 2 do
      local job = await(ids[index], "failed")
      assert.equal("nginx's handler was ended in the middle of the job (ngx.exit)", job.error)
      assert.equal("failed", job.meta.steps[1].status)
    end
    assert.equal(0.01, await(id, "completed").result)
  end)

  it("lets run what runs, however long on_error takes for what was cancelled", function()
    -- The poller of streams, two runners, and the queue's tick: while one tick is busy with
    -- the first that is cancelled, the second is found by a runner's heart.
    start { http = "lua_max_running_timers 4;" }
    local running = {}
    for index = 1, 2 do
      running[index] = create(9)
      await(running[index], "running")
    end
    for _, seconds in ipairs { 2, 20 } do
      local id = create(600, { mourns = seconds })
      cancel(id)
      await(id, "failed")
    end
    for _, one in ipairs(running) do
      local job = wait_until(function()
        local job = jobs.get_job(one)
        return job.finished_at and job
      end, one .. " to end", 20)
      assert.equal("completed", job.status, job.error)
    end
  end)

  it("says of what a step raised nothing of where in the configuration that was", function()
    start {}
    assert.equal("pausing: out of paper", await(create(0, { raises = true }), "failed").error)
  end)

  it("at a reload lets run what runs, and fails what waits", function()
    start {}
    local running = {}
    for index = 1, 2 do
      running[index] = create(2)
      await(running[index], "running")
    end
    local id = create(600)
    server:reload()
    assert.equal("the server is shutting down, and the job had not begun", await(id, "failed").error)
    for _, one in ipairs(running) do assert.equal(2, await(one, "completed").result) end
    assert.equal(0.01, await(create(0.01), "completed").result)
  end)

  it("owns what runs and what waits: with the worker they are seen failed", function()
    start {}
    for _ = 1, 2 do await(create(600), "running") end
    create(600)
    local worker = server:workers()[1]
    assert(process.kill(worker, "KILL"))
    wait_until(function() return jobs.stats().failed == 3 end, "the jobs to be seen failed")
    for _, job in ipairs(jobs.list_jobs()) do
      assert.equal(owners.death_of(worker, job.started_at and "pausing" or "Initializing"), job.error)
    end
    wait_until(function() return #server:workers() == 1 end, "another worker")
    assert.equal(0.01, await(create(0.01), "completed").result)
  end)
end)
