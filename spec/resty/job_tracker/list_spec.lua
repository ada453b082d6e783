-- GET jobs, on real nginx: pages of the list of jobs.

local cjson = require "cjson"
local status_server = require "status_server"
local store_file = require "store_file"
local JobTracker = require("job_tracker").JobTracker

local path, jobs, server

before_each(function()
  path = store_file.path()
  jobs = assert(JobTracker.open(path, { size = "8M" }))
  server = status_server.start { setup = "list = true", store = path }
end)

after_each(function()
  status_server.stop_all()
  jobs.close()
  store_file.clean()
end)

local function get(target)
  local response = server:request(target)
  assert.equal(200, response.status)
  assert.equal("application/json", response.headers["content-type"])
  return cjson.decode(response.body), response
end

local function ids_of(page)
  local ids = {}
  for index, job in ipairs(page.jobs) do ids[index] = job.task_id end
  return ids
end

local function create(count, task_type, fields)
  local ids = {}
  for index = 1, count do
    ids[index] = assert(jobs.create_job(task_type or "textbook"))
    if fields then assert(jobs.update_job(ids[index], fields)) end
  end
  return ids
end

local function reversed(list)
  local result = {}
  for index = #list, 1, -1 do result[#result + 1] = list[index] end
  return result
end

describe("GET jobs", function()
  it("is empty where there are no jobs", function()
    local response = server:request("/jobs")
    assert.equal(200, response.status)
    assert.equal('{"version":0,"counts":{"pending":0,"running":0,"completed":0,"failed":0},'
      .. '"jobs":[],"next":null}', response.body)
    assert.is_nil(response.headers.link)
    assert.equal("no-cache", response.headers["cache-control"])
  end)

  it("has the jobs, newest first, as they are, and counts them", function()
    local ids = create(3)
    assert(jobs.update_job(ids[1], { status = "running", meta = { 1, "\226\130\172" } }))
    assert(jobs.update_job(ids[2], { status = "completed", result = { deep = {} } }))
    local page, response = get("/jobs")
    assert.same(reversed(ids), ids_of(page))
    assert.same({ pending = 1, running = 1, completed = 1, failed = 0 }, page.counts)
    assert.equal((jobs.version()), page.version)
    for _, id in ipairs(ids) do
      assert.is_truthy(response.body:find(jobs.get_json(id), 1, true))
    end
    assert.equal(cjson.null, page.next)
  end)

  it("answers HEAD without a body", function()
    create(2)
    local response = server:request("/jobs?limit=1", "--head")
    assert.equal(200, response.status)
    assert.equal("", response.body)
    assert.is_truthy(response.headers.link)
  end)

  it("has those of a status, of a type, of both", function()
    local pending, done = create(2, "a.b"), create(2, "a", { status = "completed" })
    local both = create(1, "a.b", { status = "completed" })
    local function expect(query, ...)
      local expected = {}
      for _, ids in ipairs({ ... }) do
        for _, id in ipairs(ids) do table.insert(expected, 1, id) end
      end
      assert.same(expected, ids_of((get("/jobs?" .. query))), query)
    end
    expect("status=pending", pending)
    expect("status=completed", done, both)
    expect("status=running")
    expect("task_type=a.b", pending, both)
    expect("task_type=a", done)
    expect("task_type=a.b&status=completed", both)
    expect("status=completed&status=pending", done, both) -- the first counts
    expect("unknown=1&x&&=", pending, done, both)
    expect("task%5Ftype=a%2eb", pending, both)
  end)

  it("leads through 300 jobs without loss or repetition, while others come", function()
    local ids = create(300)
    local seen, pages, target = {}, 0, "/jobs?limit=7&task_type=textbook"
    repeat
      local page, response = get(target)
      for _, id in ipairs(ids_of(page)) do seen[#seen + 1] = id end
      pages = pages + 1
      local link = response.headers.link
      if page.next == cjson.null then
        assert.is_nil(link)
        target = nil
      else
        assert.equal("string", type(page.next))
        target = link:match('^<(/jobs%?[^>]*)>; rel="next"$')
        assert.equal("/jobs?limit=7&task_type=textbook&cursor=" .. page.next, target)
      end
      create(2)
      jobs.update_job(ids[#ids - pages], { status = "running", progress = pages / 100 })
    until not target
    assert.same(reversed(ids), seen)
    assert.equal(math.ceil(300 / 7), pages)
  end)

  it("has 50 jobs on a page, up to 200 if asked", function()
    create(201)
    assert.equal(50, #get("/jobs").jobs)
    assert.equal(200, #get("/jobs?limit=200").jobs)
    assert.equal(1, #get("/jobs?limit=1").jobs)
    assert.equal(1, #get("/jobs?limit=200&cursor=" .. get("/jobs?limit=200").next).jobs)
  end)

  it("refuses what makes no sense", function()
    local workers = server:workers()
    create(1)
    for _, query in ipairs({ "limit=0", "limit=201", "limit=-1", "limit=x", "limit=", "limit",
      "limit=1.5", "limit=1e2", "limit=" .. ("9"):rep(30), "limit=%00", "cursor=", "cursor=x",
      "cursor=0", "cursor=-1", "cursor=" .. ("9"):rep(16), "cursor=1%00", "status=", "status=done",
      "status=PENDING", "status", "task_type=", "task_type", "task_type=a%20b", "task_type=%ff",
      "task_type=a%00", "task_type=" .. ("a"):rep(65), ("a=1&"):rep(101) .. "b" }) do
      status_server.expect_problem(400, server:request("/jobs?" .. query), query)
    end
    status_server.expect_unharmed(server, workers)
  end)

  it("has the page's address refuse what it does not do", function()
    for _, method in ipairs({ "POST", "PUT", "DELETE" }) do
      local response = server:request("/jobs", "--request", method)
      status_server.expect_problem(405, response)
      assert.equal("GET, HEAD", response.headers.allow)
    end
  end)
end)
