-- GET metrics, on real nginx: what it counts, that Prometheus can read it, and that hostile
-- types and many of them do no harm.

local child = require "child"
local nginx_server = require "nginx_server"
local owners = require "owners"
local process = require "process"
local status_server = require "status_server"
local store_file = require "store_file"
local wait_until = require "wait_until"
local JobTracker = require("job_tracker").JobTracker

local path, jobs

before_each(function()
  path = store_file.path()
  assert(os.execute("chmod 711 '" .. path:match("^(.*)/") .. "'"))
  jobs = assert(JobTracker.open(path, { size = "8M", mode = "0644" }))
end)

after_each(function()
  child.end_all()
  status_server.stop_all()
  jobs.close()
  store_file.clean()
end)

local function start(setup, workers)
  return status_server.start { setup = setup or "metrics = true", store = path,
    workers = workers }
end

-- ------------------------------------------------------- the text format, strictly
-- Each family has HELP, TYPE and then its samples, once each; no timestamps.

-- Label values are read one character or escape at a time.
local function read_value(text, at, line)
  local value = {}
  while text:sub(at, at) ~= '"' do
    local escaped = text:match('^\\([\\"n])', at)
    local plain = text:match('^[^\\"\n]', at)
    assert(escaped or plain, "no label value: " .. line)
    value[#value + 1] = plain or (escaped == "n" and "\n" or escaped)
    at = at + (plain and 1 or 2)
  end
  return table.concat(value), at + 1
end

local function read_labels(text, line)
  local labels, at = {}, 1
  while at <= #text do
    local name, from = text:match('^([%a_][%w_]*)="()', at)
    assert(name and not labels[name], "no label: " .. line)
    labels[name], at = read_value(text, from, line)
    if at <= #text then
      assert(text:sub(at, at) == ",", "no comma: " .. line)
      at = at + 1
    end
  end
  return labels
end

local function read_sample(family, line)
  local name, rest = line:match("^([%a_:][%w_:]*)(.*)$")
  assert(name == family.name, "a sample of another family: " .. line)
  local braced, number = rest:match("^{(.*)} (%S+)$")
  number = number or rest:match("^ (%S+)$")
  assert(number and number:find("^%d+%.?%d*$"), "no value: " .. line)
  local key = braced or ""
  assert(not family.samples[key], "twice: " .. line)
  family.samples[key] = tonumber(number)
  family.labels[key] = read_labels(key, line)
end

local function read_help(line)
  local name, help = line:match("^# HELP ([%a_:][%w_:]*) (.+)$")
  assert(name and not help:find("\\", 1, true), "no HELP: " .. line)
  return { name = name, samples = {}, labels = {} }
end

---What a text says: families by name.
local function parse(text)
  local families, family = {}, nil
  assert(text:sub(-1) == "\n", "the last line has no end")
  for line in text:gmatch("(.-)\n") do
    if line:find("^# HELP") then
      assert(not family or family.kind, "HELP without TYPE")
      family = read_help(line)
      assert(not families[family.name], "a family twice: " .. line)
      families[family.name] = family
    elseif line:find("^#") then
      local name, kind = line:match("^# TYPE (%S+) (%l+)$")
      assert(name == family.name and not family.kind, "no TYPE: " .. line)
      assert(kind == "gauge" or kind == "counter", line)
      assert((kind == "counter") == (name:sub(-6) == "_total"), line)
      family.kind = kind
    else
      assert(family and family.kind, "a sample without a family: " .. line)
      read_sample(family, line)
    end
  end
  return families
end

local function scrape(server)
  local response = server:request("/metrics")
  assert.equal(200, response.status)
  assert.equal("text/plain; version=0.0.4; charset=utf-8", response.headers["content-type"])
  return parse(response.body), response
end

-- ---------------------------------------------------------------------- the counts

local function create(task_type, ...)
  local id = assert(jobs.create_job(task_type))
  for _, status in ipairs({ ... }) do assert(jobs.update_job(id, { status = status })) end
  return id
end

-- One that has been running for that long.
local function create_slow(task_type, duration)
  local id = create(task_type, "running")
  local ends = process.now() + duration
  wait_until(function() return process.now() > ends end, "the job to take its time")
  assert(jobs.update_job(id, { status = "completed" }))
  return id
end

describe("the spec's own parser", function()
  it("refuses what is no exposition", function()
    local good = '# HELP a b\n# TYPE a gauge\na{x="\\"\\\\\\n",y=""} 1\na 0.5\n'
    assert.same({ x = '"\\\n', y = "" }, parse(good).a.labels['x="\\"\\\\\\n",y=""'])
    for _, bad in ipairs({ "a 1\n", good .. "a 0.5\n", good .. "b 1\n", good .. "a{x=y} 1\n",
      good .. 'a{x="} 1\n', good .. 'a{x="\\t"} 1\n', good .. 'a{x="1"y="2"} 1\n',
      good .. 'a{x="1",x="2"} 1\n', good .. 'a{1="1"} 1\n', good .. "a -\n", good .. "a nan\n",
      good .. "a  1\n", good .. "a 1", good .. "\n", good .. good, "# TYPE a gauge\na 1\n",
      "# HELP a b\n# TYPE a histogram\n", "# HELP a b\n# TYPE a counter\na 1\n" }) do
      assert.is_false((pcall(parse, bad)), bad)
    end
  end)
end)

describe("GET metrics", function()
  it("has each family, with its type, where there are no jobs", function()
    local kinds = {}
    for name, family in pairs(scrape(start())) do kinds[name] = family.kind end
    assert.same({
      job_tracker_jobs = "gauge",
      job_tracker_job_duration_seconds_bucket = "gauge",
      job_tracker_job_duration_seconds_gcount = "gauge",
      job_tracker_job_duration_seconds_gsum = "gauge",
      job_tracker_last_success_timestamp_seconds = "gauge",
      job_tracker_available_jobs = "gauge",
      job_tracker_used_bytes = "gauge",
      job_tracker_available_bytes = "gauge",
      job_tracker_evictions_total = "counter",
      job_tracker_recoveries_total = "counter",
      job_tracker_damaged_jobs_total = "counter",
    }, kinds)
  end)

  it("counts jobs by type and status, and names none of them", function()
    local ids = { create("film"), create("film", "running"), create("film", "running"),
      create("chapter.2", "completed"), create("chapter.2", "failed") }
    local families, response = scrape(start())
    local expected = {}
    for _, task_type in ipairs({ "film", "chapter.2" }) do
      for _, status in ipairs({ "pending", "running", "completed", "failed" }) do
        expected[('task_type="%s",status="%s"'):format(task_type, status)] = 0
      end
    end
    expected['task_type="film",status="pending"'] = 1
    expected['task_type="film",status="running"'] = 2
    expected['task_type="chapter.2",status="completed"'] = 1
    expected['task_type="chapter.2",status="failed"'] = 1
    assert.same(expected, families.job_tracker_jobs.samples)
    for _, id in ipairs(ids) do assert.is_nil(response.body:find(id, 1, true)) end
  end)

  it("tells how long the finished ones took", function()
    create("film", "completed")
    create_slow("film", 0.1)
    create_slow("film", 0.1)
    create("film", "running")
    local families = scrape(start())
    local buckets = families.job_tracker_job_duration_seconds_bucket
    local bounds, count = { 0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600 }, 0
    for _, bound in ipairs(bounds) do
      local value = buckets.samples[('task_type="film",le="%g"'):format(bound)]
      if bound == 0.1 then assert.equal(1, value) end
      if bound >= 60 then assert.equal(3, value) end
    end
    for _ in pairs(buckets.samples) do count = count + 1 end
    assert.equal(#bounds + 1, count)
    assert.equal(3, buckets.samples['task_type="film",le="+Inf"'])
    assert.same({ ['task_type="film"'] = 3 },
      families.job_tracker_job_duration_seconds_gcount.samples)
    local sum = families.job_tracker_job_duration_seconds_gsum.samples['task_type="film"']
    assert.is_true(sum > 0.2 and sum < 60, sum)
  end)

  it("tells when the last success was, of the types that had one", function()
    local before = os.time()
    create("film", "completed")
    create("chapter", "failed")
    local after = os.time() + 1
    local samples = scrape(start()).job_tracker_last_success_timestamp_seconds.samples
    local at = samples['task_type="film"']
    assert.is_true(at >= before and at <= after, at)
    assert.is_nil(next(samples, next(samples)))
  end)

  it("tells of the store what stats() does", function()
    jobs.close()
    assert(os.remove(path))
    jobs = assert(JobTracker.open(path, { size = "256K", max_jobs = 16, mode = "0644" }))
    for _ = 1, 40 do create("film", "completed") end
    local families, stats = scrape(start()), jobs.stats()
    for name, field in pairs({ available_jobs = "jobs_available", used_bytes = "bytes_used",
      available_bytes = "bytes_available", evictions_total = "evictions",
      recoveries_total = "recoveries", damaged_jobs_total = "damaged" }) do
      assert.same({ [""] = stats[field] }, families["job_tracker_" .. name].samples, name)
    end
    assert.is_true(stats.bytes_used > 0)
    assert.is_true(stats.evictions > 0)
  end)

  it("counts a dead owner's job as failed, though nginx may only read", function()
    local id = create("mortal")
    owners.start(jobs, id):kill_dead()
    local samples = scrape(start()).job_tracker_jobs.samples
    assert.equal(1, samples['task_type="mortal",status="failed"'])
    assert.equal(0, samples['task_type="mortal",status="running"'])
  end)

  it("is the same from each worker", function()
    create("film")
    local server = start()
    local workers, bodies = server:workers(), {}
    for _, response in pairs(server:request_from_each("/metrics")) do
      bodies[#bodies + 1] = response.body
    end
    assert.equal(2, #bodies)
    assert.equal(bodies[1], bodies[2])
    status_server.expect_unharmed(server, workers)
  end)

  it("is kept for a while, then new", function()
    create("film")
    local server, key = start(nil, 1), 'task_type="film",status="pending"'
    local first = server:request("/metrics").body
    local second = server:request("/metrics").body
    create("film")
    assert.equal(first, second)
    assert.equal(1, parse(first).job_tracker_jobs.samples[key])
    local number
    wait_until(function()
      number = scrape(server).job_tracker_jobs.samples[key]
      return number ~= 1
    end, "the new job to be counted", 10)
    assert.equal(2, number)
  end)

  it("has 100 types at most, whatever jobs are created", function()
    for index = 1, 150 do create(("type%d"):format(index)) end
    local samples = scrape(start()).job_tracker_jobs.samples
    local count, sum = 0, 0
    for _, value in pairs(samples) do count, sum = count + 1, sum + value end
    assert.equal(101 * 4, count)
    assert.equal(150, sum)
    assert.equal(50, samples['task_type="(other)",status="pending"'])
  end)

  it("writes the longest and the strangest types there can be", function()
    local types = { ("a"):rep(64), "A.b_c~d-e", "0", "~", "le", "_", "..", "__name__", "x_00000000" }
    for _, task_type in ipairs(types) do create(task_type) end
    local families = scrape(start())
    for _, task_type in ipairs(types) do
      assert.equal(1, families.job_tracker_jobs.samples[
        ('task_type="%s",status="pending"'):format(task_type)], task_type)
    end
  end)

  it("escapes what no type has", function()
    local inside = [[
      local metrics = require "resty.job_tracker.metrics"
      local row = { task_type = 'a"\\b\n}', pending = 1, running = 0, completed = 0, failed = 0,
        within = {}, duration = 0 }
      ngx.header["Content-Type"] = "text/plain; version=0.0.4; charset=utf-8"
      ngx.print(metrics.text({ row }, {}, { jobs_available = 0, bytes_used = 0,
        bytes_available = 0, evictions = 0, recoveries = 0, damaged = 0 }))
    ]]
    local server = status_server.start { store = path, server =
      "location = /metrics { content_by_lua_block {" .. inside .. "} }" }
    local family = scrape(server).job_tracker_job_duration_seconds_gcount
    assert.same({ task_type = 'a"\\b\n}' }, family.labels[next(family.labels)])
  end)
end)

describe("the resource metrics", function()
  it("is served by the example", function()
    create("film")
    local server = nginx_server.start("nginx-readonly.conf", { JOB_STORE = path })
    local response = server:request("/metrics")
    assert.equal(1, parse(response.body).job_tracker_jobs.samples[
      'task_type="film",status="pending"'])
  end)

  it("is not there unless it is switched on", function()
    local server = start("list = true, events = true, page = true")
    status_server.expect_problem(404, server:request("/metrics"))
    status_server.expect_problem(404, start("metrics = false"):request("/metrics"))
  end)

  it("is below the base, and nowhere else", function()
    local server = start('metrics = true, base = "/progress/"')
    assert.equal(200, server:request("/progress/metrics").status)
    for _, target in ipairs({ "/progress/metrics/", "/progress/metrics/x", "/progress/Metrics" }) do
      status_server.expect_problem(404, server:request(target), target)
    end
    assert.equal(404, server:request("/metrics").status)
  end)

  it("answers HEAD without a body", function()
    create("film")
    local server = start(nil, 1)
    local length = server:request("/metrics").headers["content-length"]
    local response = server:request("/metrics", "--head")
    assert.equal(200, response.status)
    assert.equal("", response.body)
    assert.equal("text/plain; version=0.0.4; charset=utf-8", response.headers["content-type"])
    assert.equal(length, response.headers["content-length"])
    assert.equal("no-cache", response.headers["cache-control"])
  end)

  it("is the same for a browser", function()
    local server = start("metrics = true, page = true")
    local response = server:request("/metrics", "--header", "Accept: text/html")
    assert.equal("text/plain; version=0.0.4; charset=utf-8", response.headers["content-type"])
    assert.is_nil(response.headers.vary)
  end)

  it("does nothing else", function()
    local server = start()
    local workers = server:workers()
    for _, method in ipairs({ "POST", "PUT", "DELETE", "PATCH", "OPTIONS" }) do
      local response = server:request("/metrics", "--request", method)
      status_server.expect_problem(405, response, method)
      assert.equal("GET, HEAD", response.headers.allow)
    end
    status_server.expect_unharmed(server, workers)
  end)

  it("asks authorize, also when it has the text at hand", function()
    local server = start([[ metrics = true, authorize = function(action, id)
      ngx.header["X-Asked"] = action .. " " .. tostring(id)
      return ngx.req.get_headers()["x-answer"] == "yes", 401
    end ]], 1)
    local response = server:request("/metrics", "--header", "X-Answer: yes")
    assert.same({ 200, "metrics nil" }, { response.status, response.headers["x-asked"] })
    response = server:request("/metrics")
    status_server.expect_problem(401, response)
    assert.equal("metrics nil", response.headers["x-asked"])
    assert.equal(401, server:request("/metrics", "--head").status)
  end)

  it("does not let nginx map the store to write", function()
    local server = start()
    create("film")
    assert.equal(1, scrape(server).job_tracker_jobs.samples['task_type="film",status="pending"'])
    for _, pid in ipairs(server:workers()) do
      for line in io.lines("/proc/" .. pid .. "/maps") do
        local from, to, how = line:match("^(%x+)%-(%x+) (%S+) ")
        if line:find(path, 1, true) and how ~= "r--s" then
          assert.equal(4096, tonumber(to, 16) - tonumber(from, 16)) -- where waiters sleep
        end
      end
    end
  end)

  it("is 503 while there is no store, and of the store that comes", function()
    local late = store_file.path()
    assert(os.execute("chmod 711 '" .. late:match("^(.*)/") .. "'"))
    local server = status_server.start { setup = "metrics = true", store = late, workers = 1 }
    local workers = server:workers()
    local response = server:request("/metrics")
    status_server.expect_problem(503, response)
    assert.equal("1", response.headers["retry-after"])
    local first = assert(JobTracker.open(late, { size = "1M", mode = "0644" }))
    first.create_job("first")
    wait_until(function() return server:request("/metrics").status == 200 end, "the store", 5)
    assert.is_truthy(server:request("/metrics").body:find('"first"', 1, true))
    assert(os.remove(late))
    local second = assert(JobTracker.open(late, { size = "1M", mode = "0644" }))
    second.create_job("second")
    wait_until(function()
      local text = server:request("/metrics").body
      return text:find('"second"', 1, true) and not text:find('"first"', 1, true)
    end, "the other store", 5)
    status_server.expect_unharmed(server, workers)
    first.close()
    second.close()
  end)
end)
