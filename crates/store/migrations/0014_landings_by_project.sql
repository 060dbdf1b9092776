-- Checking all landings of a project reads them in order, page by page.

CREATE INDEX landings_by_project ON landings (project_id, id);
