/**
 * Reading of subjects. They are made by CreateSession alone.
 * @see https://docs.aws.amazon.com/rolesanywhere/latest/APIReference/API_GetSubject.html
 */
import { uuid } from '../api-shapes.js'
import { jsonReply } from '../http-message.js'
import { notFound } from '../service-error.js'
import { parseShape, structure } from '../shape.js'
import { pageReply, type Route } from './route.js'

export const SUBJECT_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: '/subjects',
    answer: ({ query }, { state }) => {
      const summaries = state.subjects.map(({ credentials: _credentials, ...summary }) => summary)
      return pageReply('subjects', summaries, query)
    },
  },
  {
    method: 'GET',
    path: '/subject/{subjectId}',
    answer: ({ path }, { state }) => {
      const { subjectId } = parseShape(structure({ subjectId: uuid }), path)
      const subject = state.subjects.find((item) => item.subjectId === subjectId)
      if (subject === undefined) throw notFound(`Subject with id ${subjectId} not found`)
      return jsonReply(200, { subject: { ...subject, instanceProperties: [] } })
    },
  },
]
