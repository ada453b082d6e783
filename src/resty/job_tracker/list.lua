-- list: GET jobs, a page of the list of jobs, newest first. A look at every job of the
-- store: for people, who look now and then.

local problem = require "resty.job_tracker.problem"
local request = require "resty.job_tracker.request"
local source = require "resty.job_tracker.source"

local list = {}

local DEFAULT, MOST = 50, 200
local STATUSES = { pending = true, running = true, completed = true, failed = true }
local TYPE_MAX = 64

local function is_type(text)
  return #text <= TYPE_MAX and text:find("^[A-Za-z0-9._~-]+$") ~= nil
end

-- list_jobs' options, or nil and what is wrong with the query.
local function wanted(arguments)
  local limit = arguments.limit and request.integer(arguments.limit, 1, MOST)
  local before = arguments.cursor and request.integer(arguments.cursor, 1, 2 ^ 53)
  local status, task_type = arguments.status, arguments.task_type
  if arguments.limit and not limit then
    return nil, ("limit must be a whole number from 1 to %d."):format(MOST)
  elseif arguments.cursor and not before then
    return nil, "cursor must be what an earlier page gave."
  elseif status and not STATUSES[status] then
    return nil, "status must be pending, running, completed or failed."
  elseif task_type and not is_type(task_type) then
    return nil, "task_type must be 1 to 64 of the characters A-Z a-z 0-9 . _ ~ and -."
  end
  return { limit = limit or DEFAULT, before = before, status = status, task_type = task_type }
end

local function link(settings, options, cursor)
  local query = { ("limit=%d"):format(options.limit) }
  if options.status then query[#query + 1] = "status=" .. options.status end
  if options.task_type then query[#query + 1] = "task_type=" .. options.task_type end
  query[#query + 1] = ("cursor=%d"):format(cursor)
  return ('<%sjobs?%s>; rel="next"'):format(settings.base, table.concat(query, "&"))
end

local PAGE = '{"version":%d,"counts":{"pending":%d,"running":%d,"completed":%d,"failed":%d},'
  .. '"jobs":[%s],"next":%s}'

local function page(version, counts, jobs, next_cursor)
  local texts = {}
  for index, job in ipairs(jobs) do texts[index] = job:to_json() end
  return PAGE:format(version, counts.pending, counts.running, counts.completed, counts.failed,
    table.concat(texts, ","), next_cursor and ('"%d"'):format(next_cursor) or "null")
end

---GET jobs
---@param settings table
function list.get(settings)
  local arguments, complaint = request.arguments()
  local options
  if arguments then options, complaint = wanted(arguments) end
  if not options then return problem.answer(400, complaint --[[@as string]]) end
  local tracker, trouble, state = source.tracker()
  if not tracker then return problem.refused(trouble --[[@as string]], state) end
  local version = tracker.version() -- from before the look: what comes during it is told later
  local jobs, next_cursor, code = tracker.list_jobs(options)
  if not jobs then
    source.doubt(code)
    return problem.refused(next_cursor, code)
  end
  if next_cursor then ngx.header["Link"] = link(settings, options, next_cursor) end
  problem.send("application/json", page(version, tracker.stats(), jobs, next_cursor))
end

return list
