---@meta job_tracker
---What `require "job_tracker"` returns, for editors (LuaLS). Nothing loads this
---file: the functions are in C.

---Every function takes its arguments after a dot; after a colon it works the
---same. Misuse raises; what can happen at run time returns nil, a message for
---people and a code for programs.

---@alias job_tracker.Status "pending" | "running" | "completed" | "failed"

---@alias job_tracker.Code
---| "not_found"           # no job of that id
---| "invalid_transition"  # a finished job never changes its status, no job goes back to pending
---| "claimed"             # claim_job: another living process owns it
---| "full"                # no room, and nothing finished that could make it; the message has the numbers
---| "busy"                # the lock's holder was stopped; or, read-only, the job changed under every try
---| "readonly"            # a changing call on a tracker opened read-only
---| "timeout"             # wait_job: it timed out
---| "io"                  # the operating system refused
---| "not_ready"           # another process is still making the store file
---| "incompatible"        # a store of another layout, ABI, size or pid namespace
---| "corrupt"             # not a store, or damaged
---| "no_space"            # no room for the store
---| "in_use"              # configure: another size for a store in use

---A value that JSON has: null (job_tracker.null), a boolean, a finite number, a
---string of UTF-8, a table with the keys 1 to n (an array) or with strings as
---keys (an object; so is an empty table). Up to 100 levels.
---@alias job_tracker.Json lightuserdata | boolean | number | string | table

---@class job_tracker.Fields
---@field status? job_tracker.Status pending -> running -> completed | failed; completed sets progress to 1
---@field progress? number from 0 to 1
---@field current_step? string up to 4,096 bytes
---@field result? job_tracker.Json null clears it
---@field error? string | lightuserdata any bytes; null clears it
---@field meta? job_tracker.Json null clears it

---@class job_tracker.ListOptions
---@field status? job_tracker.Status
---@field task_type? string
---@field limit? integer 1 or more; default: all
---@field before? integer the second result for the page before this one

---@class job_tracker.ChangesOptions
---@field limit? integer 1 or more; default: all

---@class job_tracker.WaitOptions
---@field timeout? number seconds; default: for ever
---@field after? integer wait for a version greater than this, not for the end

---@class job_tracker.ConfigureOptions
---@field retention? number seconds a finished job is kept; math.huge: until its room is needed
---@field size? integer | string bytes, or "64M", "64MiB", "1G"
---@field max_jobs? integer

---@class job_tracker.OpenOptions : job_tracker.ConfigureOptions
---@field mode? string permission bits of a new file; default "0600"
---@field readonly? boolean

---@class job_tracker.Stats
---@field pending integer
---@field running integer
---@field completed integer
---@field failed integer
---@field jobs_used integer
---@field jobs_available integer
---@field bytes_used integer
---@field bytes_available integer
---@field evictions integer finished jobs removed to make room
---@field recoveries integer writers that died in the middle of a change
---@field damaged integer jobs dropped because their bytes were damaged
---@field version integer larger after every change of any job

---The jobs of one task type.
---@class job_tracker.TypeSummary
---@field task_type string "(other)", which no type is called: the jobs of all types beyond the first 100
---@field pending integer
---@field running integer
---@field completed integer
---@field failed integer
---@field duration number seconds that the finished jobs took, together
---@field within integer[] for each bound: how many of them took at most so long
---@field last_success? number when the last one was completed, seconds since 1970; nil: none was

---A job at one instant, read-only. `==` compares task_id and version.
---@class job_tracker.JobStatus
---@field PENDING "pending" only in the exported table, like the next three
---@field RUNNING "running"
---@field COMPLETED "completed"
---@field FAILED "failed"
---@field task_id string
---@field task_type string
---@field status job_tracker.Status
---@field progress number from 0 to 1
---@field current_step string
---@field result? job_tracker.Json decoded anew at each access: keep it in a local
---@field error? string
---@field meta? job_tracker.Json decoded anew at each access
---@field cancel_requested? string the reason, once somebody has asked for it
---@field created_at string like "2026-11-23T17:42:36.123456Z", as are the other times
---@field updated_at string
---@field started_at? string
---@field finished_at? string
---@field version integer
local JobStatus = {}

---The fields in a plain table; absent ones are left out, or hold `null`.
---@param null? any
---@return table
function JobStatus:to_dict(null) end

---All fields as one JSON object in a fixed order, absent ones null.
---@return string
function JobStatus:to_json() end

---@class job_tracker.JobTracker
local JobTracker = {}

---Creates a pending job.
---@param task_type string 1 to 64 characters of A-Z a-z 0-9 . _ ~ -
---@return string? task_id the task_type, "_" and 8 hexadecimal digits
---@return string? message
---@return job_tracker.Code? code "full", "busy", "readonly"
function JobTracker.create_job(task_type) end

---Applies all the fields at one instant, or none.
---@param task_id string
---@param fields job_tracker.Fields
---@return true? ok
---@return string? message
---@return job_tracker.Code? code "not_found", "invalid_transition", "full", "busy", "readonly"
function JobTracker.update_job(task_id, fields) end

---nil alone: there is no such job.
---@param task_id string
---@return job_tracker.JobStatus? job
---@return string? message
---@return job_tracker.Code? code "busy", "corrupt"
function JobTracker.get_job(task_id) end

---Makes this process (thread) the job's owner: if it ends before the job is
---finished, however it ends, the job is failed in every look from then on.
---@param task_id string
---@return true? ok also if it owns the job already
---@return string? message
---@return job_tracker.Code? code "not_found", "invalid_transition", "claimed", "full", "busy", "readonly"
function JobTracker.claim_job(task_id) end

---Asks who works on the job to stop, by its field cancel_requested. A pending job
---that nobody has claimed fails at once. Asked again, the first reason stays.
---@param task_id string
---@param reason? string up to 4,096 bytes; default "on request"
---@return true? ok
---@return string? message
---@return job_tracker.Code? code "not_found", "invalid_transition", "full", "busy", "readonly"
function JobTracker.cancel_job(task_id, reason) end

---@param task_id string
---@return true? ok
---@return string? message
---@return job_tracker.Code? code "not_found", "busy", "readonly"
function JobTracker.delete_job(task_id) end

---@return integer? removed
---@return string? message
---@return job_tracker.Code? code "busy", "readonly"
function JobTracker.clear_jobs() end

---The jobs, newest first.
---@param options? job_tracker.ListOptions
---@return job_tracker.JobStatus[]? jobs
---@return integer | string | nil next what to pass as `before` for the page that follows, if there is one; or message
---@return job_tracker.Code? code "busy", "corrupt"
function JobTracker.list_jobs(options) end

---The jobs that have changed since, the oldest change first. Those whose owner has
---died and that nobody could write off come every time.
---@param after integer the store's version of the last time; 0: all jobs
---@param options? job_tracker.ChangesOptions
---@return job_tracker.JobStatus[]? jobs
---@return integer | string | nil version what to pass as `after` the next time, or message
---@return job_tracker.Code? code "busy", "corrupt"
function JobTracker.list_changes(after, options) end

---There can be something new only if one of the two differs from last time. Cheap.
---@return integer version the store's: larger after every change of any job
---@return integer dead how many owners are dead that nobody could clear away
function JobTracker.version() end

---Blocks until the job is completed or failed or, with `after`, until its version
---is greater. Not for code that runs in nginx.
---@param task_id string
---@param options? job_tracker.WaitOptions
---@return job_tracker.JobStatus? job
---@return string? message
---@return job_tracker.Code? code "timeout", "not_found", "busy", "corrupt"
function JobTracker.wait_job(task_id, options) end

---The job as JSON text, without making an object; nil alone: there is no such job.
---@param task_id string
---@param known integer? a version of the job that the caller has the text of
---@return string | false | nil json false: its version is 'known'
---@return integer | string | nil version or message
---@return job_tracker.Code? code "busy", "corrupt"
function JobTracker.get_json(task_id, known) end

---@return job_tracker.Stats
function JobTracker.stats() end

---The jobs there are, counted by task type. Looks at every job once.
---@return job_tracker.TypeSummary[]? types sorted by type
---@return number[] | string bounds of durations, seconds; or message
---@return job_tracker.Code? code "busy"
function JobTracker.summary() end

---Opens the store file, or makes it. In Lua 5.4 the tracker can be kept in a
---variable that closes it: `local tracker <close> = JobTracker.open(path)`.
---@param path string
---@param options? job_tracker.OpenOptions
---@return job_tracker.JobTracker? tracker
---@return string? message
---@return job_tracker.Code? code "io", "not_ready", "incompatible", "corrupt", "no_space"
function JobTracker.open(path, options) end

---Sets the in-memory store's options, before its first use; retention at any
---time, also of an opened tracker.
---@param options job_tracker.ConfigureOptions
---@return true? ok
---@return string? message
---@return job_tracker.Code? code "in_use", "readonly", "no_space", "incompatible"
function JobTracker.configure(options) end

---Closes an opened tracker: every later call raises "closed tracker".
function JobTracker.close() end

---@class job_tracker
---@field JobTracker job_tracker.JobTracker of the in-memory store
---@field JobStatus job_tracker.JobStatus its methods, and the names of the statuses
---@field null lightuserdata NULL, equal to cjson.null and ngx.null
---@field _VERSION string
local job_tracker = { JobTracker = JobTracker, JobStatus = JobStatus }

---The time now, by the clock that all times of jobs are taken from.
---@return string time like "2026-11-23T17:42:36.123456Z"
---@return number seconds the same since 1970-01-01T00:00:00Z
function job_tracker.now() end

return job_tracker
